/*
 * launched: a start script and a server of SCGI or HTTP in one program, for tests that must place every step.
 *
 *   launched FOLDER [ignored words]
 *
 * FOLDER/plan says what to do, one verb a line (below). The first thing that happens, before the plan is
 * read, is one line in FOLDER/starts: what the process looks like. Requests go to FOLDER/requests, one line
 * each before it is answered; events to FOLDER/ctl, a seqpacket socket of the harness, one connection each.
 * All of them carry the monotonic clock. The socket's address is $ROUSE_SOCKET.
 *
 *   event NAME      tell the harness                      hold NAME   tell it, go on when it says so
 *   pause MS        let time pass                         print TEXT  a line on standard output
 *   complain TEXT   a line on standard error              flood N     N bytes of lines on standard output
 *   fork            the parent exits 0, the child goes on when it has ended
 *   daemon          fork, setsid, fork: an orthodox daemon
 *   wrap            the child goes on, the parent waits for it and exits as it did (a shell script)
 *   helper          a second process that only waits stays beside this one
 *   escape          a second process in a session of its own that ignores TERM stays beside this one
 *   close-all       close every descriptor above 2
 *   ignore SIGNAL   number                                exit N, die SIGNAL
 *   never           do nothing, for ever
 *   unlink          remove the socket                     bind, listen N
 *   serve           answer requests, for ever             accept-only  accept, read, never answer
 *   http            speak HTTP; without it SCGI   mortal      heed requests that ask to die
 *   graceful    at TERM: accept no more, event stopping, finish what was accepted, exit 0
 *   silent NAME requests are read and told as event NAME, and never answered
 *   at ADDRESS  the socket's address is this one, whatever $ROUSE_SOCKET says
 *   run         what follows is for the next run of the script: the last such part is for all that are left
 *   drop N          accept and close N connections without reading them (unread data: the peer sees a reset)
 *
 * A request may ask in QUERY_STRING, parts joined by "&":
 *   token=T     echoed, and recorded                      size=N      N bytes of pattern.h as the body
 *   length=N    send Content-Length: N                    hold=NAME   hold before the answer
 *   late=NAME   event server.received, then hold before the answer
 *   mid=NAME    hold after the head and half of the body  last=NAME   hold before the body's last byte
 *   die=S       end oneself by that signal before the answer, if the plan says mortal
 *   diemid=S    the same after the head and half of the body
 *   drop=N      close without answer the first N times that this server sees it
 *   reset=N     the same with unread data, so that the peer sees ECONNRESET
 *   early=N     status 413 and N bytes of pattern.h at once, without having read the body
 *   ticks=NAME  server-sent events 1, 2, 3, each behind a hold of its own: NAME1, NAME2, NAME3
 *   stream=NAME lines without end; the event NAME when the other side takes no more
 *   show=A,B    a line NAME=VALUE for each of these variables, in the stead of the body
 */
#define _GNU_SOURCE
#include "pattern.h"
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char** environ;
static const char* folder;
static int listener = -1, mortal = 0, speaks_http = 0;
static const char* silent = NULL; /* the event of a request that will not be answered */
static int asked_to_end[2] = {-1, -1}; /* a pipe: TERM came, and the plan says graceful */

static double now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

/* ---- one line of JSON, written with one write --------------------------------------------------------- */

struct line {
    char* bytes;
    size_t length, room;
};

static void put(struct line* line, const char* format, ...) {
    for (;;) {
        va_list arguments;
        va_start(arguments, format);
        int wanted = vsnprintf(line->bytes + line->length, line->room - line->length, format, arguments);
        va_end(arguments);
        if ((size_t)wanted < line->room - line->length) {
            line->length += (size_t)wanted;
            return;
        }
        line->room = line->room * 2 + (size_t)wanted + 256;
        line->bytes = realloc(line->bytes, line->room);
    }
}

static void put_text(struct line* line, const char* text, size_t length) {
    put(line, "\"");
    for (size_t i = 0; i < length; i++) {
        unsigned char byte = (unsigned char)text[i];
        if (byte == '"' || byte == '\\') put(line, "\\%c", byte);
        else if (byte < 32 || byte > 126) put(line, "\\u%04x", byte); /* latin-1: every byte survives */
        else put(line, "%c", byte);
    }
    put(line, "\"");
}

/* Answers where the line ends in the file. */
static off_t append(const char* name, struct line* line) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    put(line, "\n");
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, line->bytes, line->length) != (ssize_t)line->length) _exit(96);
    off_t end = lseek(fd, 0, SEEK_CUR);
    close(fd);
    free(line->bytes);
    *line = (struct line){0};
    return end;
}

/* Answers where the line ends in FOLDER/starts. */
static off_t record_start(int argc, char** argv) {
    struct line line = {0};
    put(&line, "{\"time\": %.6f, \"pid\": %d, \"ppid\": %d, \"sid\": %d, \"pgid\": %d, \"uid\": %d", now(), getpid(), getppid(),
        getsid(0), getpgid(0), (int)geteuid());
    put(&line, ", \"fds\": {");
    DIR* directory = opendir("/proc/self/fd");
    const char* comma = "";
    for (struct dirent* entry; directory && (entry = readdir(directory));) {
        int fd = atoi(entry->d_name);
        if (entry->d_name[0] == '.' || fd == dirfd(directory)) continue;
        char path[64], target[PATH_MAX];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        ssize_t length = readlink(path, target, sizeof target);
        put(&line, "%s\"%d\": ", comma, fd);
        put_text(&line, target, length > 0 ? (size_t)length : 0);
        comma = ", ";
    }
    if (directory) closedir(directory);
    put(&line, "}, \"status\": {");
    FILE* status = fopen("/proc/self/status", "r");
    char text[4096];
    comma = "";
    while (status && fgets(text, sizeof text, status)) {
        char* colon = strchr(text, ':');
        if (!colon || (strncmp(text, "Sig", 3) != 0 && strncmp(text, "Shd", 3) != 0)) continue;
        *colon = 0;
        colon[1 + strcspn(colon + 1, "\n")] = 0;
        put(&line, "%s\"%s\": ", comma, text);
        put_text(&line, colon + 1 + strspn(colon + 1, "\t "), strlen(colon + 1 + strspn(colon + 1, "\t ")));
        comma = ", ";
    }
    if (status) fclose(status);
    mode_t mask = umask(0);
    umask(mask);
    put(&line, "}, \"umask\": %d, \"cwd\": ", (int)mask);
    const char* place = getcwd(text, sizeof text) ? text : "";
    put_text(&line, place, strlen(place));
    put(&line, ", \"limits\": {");
    for (int i = 0; i < RLIM_NLIMITS; i++) {
        struct rlimit limit;
        getrlimit(i, &limit);
        put(&line, "%s\"%d\": [%lld, %lld]", i ? ", " : "", i, (long long)limit.rlim_cur, (long long)limit.rlim_max);
    }
    put(&line, "}, \"argv\": [");
    for (int i = 0; i < argc; i++) {
        if (i) put(&line, ", ");
        put_text(&line, argv[i], strlen(argv[i]));
    }
    put(&line, "], \"env\": [");
    for (char** entry = environ; *entry; entry++) {
        if (entry != environ) put(&line, ", ");
        put_text(&line, *entry, strlen(*entry));
    }
    put(&line, "]}");
    return append("starts", &line);
}

/* ---- events ------------------------------------------------------------------------------------------- */

/* The signal may go to another thread: this one does nothing more. */
static void die(int number) {
    kill(getpid(), number);
    for (;;) pause();
}

static void tell(const char* kind, const char* name) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    snprintf(address.sun_path, sizeof address.sun_path, "%s/ctl", folder);
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
    char text[256];
    int length = snprintf(text, sizeof text, "%s %s %d %.6f", kind, name, getpid(), now());
    if (fd < 0 || connect(fd, (struct sockaddr*)&address, sizeof address) != 0) _exit(97); /* the harness is gone */
    if (send(fd, text, (size_t)length, MSG_NOSIGNAL) != length) _exit(97);
    if (strcmp(kind, "hold") == 0) {
        ssize_t got;
        while ((got = recv(fd, text, sizeof text, 0)) < 0 && errno == EINTR) {}
        if (got <= 0) _exit(97);
    }
    close(fd);
}

/* ---- the server --------------------------------------------------------------------------------------- */

static int open_socket(void) {
    const char* text = getenv("ROUSE_SOCKET");
    if (!text) _exit(98);
    struct sockaddr_storage storage = {0};
    socklen_t length;
    const char* colon = strrchr(text, ':');
    if (text[0] == '/' || text[0] == '@') {
        struct sockaddr_un* address = (struct sockaddr_un*)&storage;
        address->sun_family = AF_UNIX;
        memcpy(address->sun_path, text, strlen(text));
        length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(text) + (text[0] == '/'));
        if (text[0] == '@') address->sun_path[0] = 0;
    } else if (text[0] == '[') {
        struct sockaddr_in6* address = (struct sockaddr_in6*)&storage;
        char host[64] = {0};
        memcpy(host, text + 1, strcspn(text + 1, "]"));
        address->sin6_family = AF_INET6;
        inet_pton(AF_INET6, host, &address->sin6_addr);
        address->sin6_port = htons((uint16_t)atoi(colon + 1));
        length = sizeof *address;
    } else {
        struct sockaddr_in* address = (struct sockaddr_in*)&storage;
        char host[64] = {0};
        memcpy(host, text, (size_t)(colon - text));
        address->sin_family = AF_INET;
        inet_pton(AF_INET, strcmp(host, "localhost") == 0 ? "127.0.0.1" : host, &address->sin_addr);
        address->sin_port = htons((uint16_t)atoi(colon + 1));
        length = sizeof *address;
    }
    int fd = socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int one = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (fd < 0 || bind(fd, (struct sockaddr*)&storage, length) != 0) {
        fprintf(stderr, "launched: cannot bind %s: %s\n", text, strerror(errno));
        _exit(98);
    }
    return fd;
}

struct request {
    const char* token;
    const char* method;
    char* head;
    size_t head_length;
    long long body;
    uint32_t adler; /* of the body: RFC 1950, Adler-32; that of none is 1 */
    const char* query;
};

static uint32_t adler32(uint32_t sum, const char* bytes, size_t length) {
    uint32_t low = sum & 0xffff, high = sum >> 16;
    for (size_t i = 0; i < length; i++) {
        low = (low + (unsigned char)bytes[i]) % 65521;
        high = (high + low) % 65521;
    }
    return high << 16 | low;
}

static void forget(struct request* request) {
    free(request->head);
    free(request);
}

static const char* header(const struct request* request, const char* name) {
    for (size_t at = 0; at < request->head_length;) {
        const char* key = request->head + at;
        const char* value = key + strlen(key) + 1;
        if (strcmp(key, name) == 0) return value;
        at = (size_t)(value + strlen(value) + 1 - request->head);
    }
    return NULL;
}

/* The value of `name` in the query, copied into `value`; 0 when it is not there. */
static int asked(const struct request* request, const char* name, char* value, size_t room) {
    size_t length = strlen(name);
    for (const char* at = request->query; at && *at;) {
        size_t part = strcspn(at, "&");
        if (part > length && memcmp(at, name, length) == 0 && at[length] == '=') {
            snprintf(value, room, "%.*s", (int)(part - length - 1), at + length + 1);
            return 1;
        }
        at += part;
        if (*at) at++;
    }
    return 0;
}

static ssize_t read_some(int fd, char* bytes, size_t room) {
    ssize_t got;
    while ((got = read(fd, bytes, room)) < 0 && errno == EINTR) {}
    return got;
}

static int send_all(int fd, const char* bytes, size_t length) {
    while (length > 0) {
        ssize_t sent = send(fd, bytes, length, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent <= 0) return -1;
        bytes += sent;
        length -= (size_t)sent;
    }
    return 0;
}

static void record_request(const char* kind, const struct request* request, long long wrong) {
    struct line line = {0};
    put(&line, "{\"kind\": \"%s\", \"time\": %.6f, \"pid\": %d", kind, now(), getpid());
    if (request) {
        put(&line, ", \"method\": ");
        put_text(&line, request->method, strlen(request->method));
        put(&line, ", \"token\": ");
        put_text(&line, request->token, strlen(request->token));
        put(&line, ", \"body\": %lld, \"adler\": %u, \"wrong\": %lld", request->body, request->adler, wrong);
    }
    put(&line, "}");
    append("requests", &line);
}

/* The request's head in HTTP/1.0 becomes what SCGI would have sent: names of CGI and values, a NUL behind each. As strict:
 * one request line with a path, one Host, one `Connection: close`, no other field for the connection. */
static const char* read_http_head(int fd, struct request* request) {
    size_t room = 512 << 10, length = 0;
    char* text = malloc(room + 1);
    request->head = malloc(2 * room);
    for (char* end = NULL; !end;) {
        ssize_t got = length == room ? -1 : recv(fd, text + length, room - length, MSG_PEEK); /* the body is not ours yet */
        if (got < 0 && length < room && errno == EINTR) continue;
        if (got <= 0) return free(text), length == room ? "long" : length ? "cut" : "empty";
        if (!isupper(*text)) return free(text), "request line";
        text[length + (size_t)got] = 0;
        end = strstr(text + (length < 3 ? 0 : length - 3), "\r\n\r\n");
        size_t taken = end ? (size_t)(end + 4 - text) - length : (size_t)got;
        if (recv(fd, text + length, taken, MSG_WAITALL) != (ssize_t)taken) return free(text), "cut";
        length += taken;
    }
    text[length - 2] = 0;
    char *at = request->head, *line = text, *rest;
    char *method = strsep(&line, " "), *target = line ? strsep(&line, " ") : NULL;
    if (!target || *target != '/' || strncmp(line, "HTTP/1.0\r\n", 10) != 0) return free(text), "request line";
    char* query = strchr(target, '?');
    if (query) *query++ = 0;
    at += sprintf(at, "REQUEST_METHOD%c%s%cREQUEST_PATH%c%s%cQUERY_STRING%c%s%c", 0, method, 0, 0, target, 0, 0, query ? query : "", 0);
    int hosts = 0, closes = 0;
    for (line += 10; *line; line = rest) {
        rest = strstr(line, "\r\n");
        char* value = strstr(line, ": ");
        if (!rest || !value || value > rest) return free(text), "field";
        *rest = *value = 0, rest += 2, value += 2;
        hosts += strcasecmp(line, "Host") == 0;
        if (strcasecmp(line, "Connection") == 0) {
            if (strcmp(value, "close") != 0 || closes++) return free(text), "connection";
            continue;
        }
        if (strcasecmp(line, "Keep-Alive") == 0 || strcasecmp(line, "Transfer-Encoding") == 0) return free(text), "hop by hop";
        if (strcasecmp(line, "Content-Length") == 0) {
            char* end;
            request->body = strtoll(value, &end, 10);
            if (*end || !*value || request->body < 0) return free(text), "length";
        } else {
            at += sprintf(at, "HTTP_");
        }
        for (char* one = line; *one; one++) *at++ = (char)(*one == '-' ? '_' : toupper(*one));
        at += sprintf(at, "%c%s%c", 0, value, 0);
    }
    request->head_length = (size_t)(at - request->head);
    return free(text), hosts == 1 && closes == 1 ? NULL : "host";
}

/* Reads the header netstring strictly; answers NULL or what is wrong with it. "empty": nothing came at all. */
static const char* read_head(int fd, struct request* request) {
    size_t length = 0, digits = 0;
    for (;;) {
        char byte;
        if (read_some(fd, &byte, 1) != 1) return digits ? "cut" : "empty";
        if (byte == ':') break;
        if (byte < '0' || byte > '9' || ++digits > 9 || (digits == 2 && length == 0)) return "netstring";
        length = length * 10 + (size_t)(byte - '0');
    }
    if (!digits || length > 16 << 20) return "netstring";
    request->head = malloc(length + 1);
    for (size_t have = 0; have < length + 1;) {
        ssize_t got = read_some(fd, request->head + have, length + 1 - have);
        if (got <= 0) return "cut";
        have += (size_t)got;
    }
    if (request->head[length] != ',' || (length && request->head[length - 1] != 0)) return "comma";
    request->head_length = length;
    size_t strings = 0;
    for (size_t i = 0; i < length; i++) strings += request->head[i] == 0;
    if (strings % 2) return "odd";
    if (strcmp(request->head, "CONTENT_LENGTH") != 0) return "order";
    const char* scgi = header(request, "SCGI");
    if (!scgi || strcmp(scgi, "1") != 0) return "scgi";
    char* end;
    request->body = strtoll(request->head + 15, &end, 10);
    if (*end || end == request->head + 15 || request->body < 0) return "length";
    return NULL;
}

static int seen_before(const char* token, int limit) {
    static pthread_mutex_t guard = PTHREAD_MUTEX_INITIALIZER;
    static struct {
        char token[64];
        int count;
    } seen[1024];
    pthread_mutex_lock(&guard);
    int answer = 1;
    for (int i = 0; i < 1024; i++) {
        if (seen[i].count && strcmp(seen[i].token, token) != 0) continue;
        snprintf(seen[i].token, sizeof seen[i].token, "%s", token);
        answer = seen[i].count >= limit;
        seen[i].count++;
        break;
    }
    pthread_mutex_unlock(&guard);
    return answer;
}

static const char* status_line(const char* status) {
    static __thread char line[64];
    snprintf(line, sizeof line, "%s %s\r\n", speaks_http ? "HTTP/1.1" : "Status:", status);
    return line;
}

/* The body stays in the socket: after close() its sender sees a reset behind the answer. */
static void send_early(int fd, struct request* request, long long total) {
    char head[128], buffer[65536];
    int length = snprintf(head, sizeof head, "%sContent-Type: text/plain\r\n\r\n", status_line("413 Content Too Large"));
    record_request("early", request, -1);
    if (send_all(fd, head, (size_t)length) != 0) return;
    for (long long sent = 0; sent < total;) {
        size_t count = sizeof buffer;
        if ((long long)count > total - sent) count = (size_t)(total - sent);
        pattern_fill(buffer, count, (uint64_t)sent);
        if (send_all(fd, buffer, count) != 0) return;
        sent += (long long)count;
    }
}

/* SCGI needs no status. */
static int send_event_stream(int fd) {
    char head[160];
    snprintf(head, sizeof head, "%sContent-Type: text/event-stream\r\nCache-Control: no-store\r\n\r\n",
             speaks_http ? status_line("200 OK") : "");
    return send_all(fd, head, strlen(head));
}

static void send_ticks(int fd, struct request* request, const char* name) {
    if (send_event_stream(fd) != 0) return;
    for (int tick = 1; tick <= 3; tick++) {
        char text[160];
        snprintf(text, sizeof text, "%s%d", name, tick);
        tell("hold", text);
        int length = snprintf(text, sizeof text, "data: %d\n\n", tick);
        if (send_all(fd, text, (size_t)length) != 0) {
            record_request("refused", request, tick);
            return;
        }
    }
}

static void send_stream(int fd, const char* name) {
    const char* text = "data: a line of a stream that does not end\n\n";
    for (int failed = send_event_stream(fd); !failed; failed = send_all(fd, text, strlen(text))) poll(NULL, 0, 5);
    tell("event", name);
}

static void send_variables(int fd, const struct request* request, char* names) {
    struct line line = {0};
    put(&line, "%sContent-Type: text/plain\r\n\r\n", speaks_http ? status_line("200 OK") : "");
    for (char *rest = names, *name; (name = strsep(&rest, ",")) != NULL;) {
        const char* value = header(request, name);
        put(&line, "%s%s%s\n", name, value ? "=" : "", value ? value : "");
    }
    send_all(fd, line.bytes, line.length);
    free(line.bytes);
}

static void answer(int fd) {
    struct request* request = calloc(1, sizeof *request);
    request->adler = 1;
    char value[128], token[128] = "", buffer[65536];
    const char* wrong = speaks_http ? read_http_head(fd, request) : read_head(fd, request);
    if (wrong) {
        record_request(wrong, NULL, 0);
        forget(request);
        return;
    }
    request->method = header(request, "REQUEST_METHOD");
    if (!request->method) request->method = "";
    request->query = header(request, "QUERY_STRING");
    asked(request, "token", token, sizeof token);
    request->token = token;

    if (asked(request, "reset", value, sizeof value) && !seen_before(token, atoi(value))) {
        record_request("reset", request, 0);
        struct linger linger = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger);
        forget(request);
        return; /* a unix peer sees ECONNRESET only when something was left unread: the test sends a body */
    }
    if (asked(request, "early", value, sizeof value)) {
        send_early(fd, request, atoll(value));
        forget(request);
        return;
    }
    long long bad = -1;
    for (long long have = 0; have < request->body;) {
        size_t room = sizeof buffer;
        if ((long long)room > request->body - have) room = (size_t)(request->body - have);
        ssize_t got = read_some(fd, buffer, room);
        if (got <= 0) {
            record_request("cut", request, have);
            forget(request);
            return;
        }
        if (bad < 0) bad = pattern_check(buffer, (size_t)got, (uint64_t)have);
        request->adler = adler32(request->adler, buffer, (size_t)got);
        have += got;
    }
    record_request("request", request, bad);
    if (silent) {
        tell("event", silent);
        for (;;) pause();
    }
    if (asked(request, "drop", value, sizeof value) && !seen_before(token, atoi(value))) goto done;
    if (asked(request, "hold", value, sizeof value)) tell("hold", value);
    if (asked(request, "late", value, sizeof value)) {
        tell("event", "server.received");
        tell("hold", value);
    }
    if (mortal && asked(request, "die", value, sizeof value)) {
        tell("event", "dying");
        die(atoi(value));
    }

    if (asked(request, "ticks", value, sizeof value)) {
        send_ticks(fd, request, value);
        goto done;
    }
    if (asked(request, "stream", value, sizeof value)) {
        send_stream(fd, value);
        goto done;
    }
    if (asked(request, "show", value, sizeof value)) {
        send_variables(fd, request, value);
        goto done;
    }
    long long size = asked(request, "size", value, sizeof value) ? atoll(value) : -1;
    char text[512], length_line[192] = "";
    int text_length = snprintf(text, sizeof text, "token=%s pid=%d body=%lld wrong=%lld\n", token, getpid(), request->body, bad);
    if (asked(request, "length", value, sizeof value)) snprintf(length_line, sizeof length_line, "Content-Length: %s\r\n", value);
    char head[512];
    int head_length = snprintf(head, sizeof head, "%sContent-Type: text/plain\r\n%s\r\n", status_line("200 OK"), length_line);
    int has_mid = asked(request, "mid", value, sizeof value);
    char last[128];
    int has_last = asked(request, "last", last, sizeof last);
    char dying[16];
    int dies = mortal && asked(request, "diemid", dying, sizeof dying);
    if (size < 0 && !has_mid && !has_last && !dies) {
        memmove(text + head_length, text, (size_t)text_length);
        memcpy(text, head, (size_t)head_length);
        send_all(fd, text, (size_t)(head_length + text_length));
        goto done;
    }
    if (send_all(fd, head, (size_t)head_length) != 0) goto done;
    long long total = size < 0 ? text_length : size, stop = total / 2;
    for (long long sent = 0; sent < total;) {
        if ((has_mid || dies) && sent == stop) {
            if (dies) {
                tell("event", "dying");
                die(atoi(dying));
            }
            tell("hold", value);
            has_mid = dies = 0;
        }
        long long limit = total;
        if (has_mid || dies) limit = stop;
        else if (has_last && sent < total - 1) limit = total - 1;
        else if (has_last) tell("hold", last);
        size_t count = sizeof buffer;
        if ((long long)count > limit - sent) count = (size_t)(limit - sent);
        if (size < 0) memcpy(buffer, text + sent, count);
        else pattern_fill(buffer, count, (uint64_t)sent);
        if (send_all(fd, buffer, count) != 0) {
            record_request("refused", request, sent);
            goto done;
        }
        sent += (long long)count;
    }
done:
    forget(request);
}

static pthread_mutex_t work = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t work_done = PTHREAD_COND_INITIALIZER;
static int at_work = 0;

static void count_work(int change) {
    pthread_mutex_lock(&work);
    at_work += change;
    pthread_cond_signal(&work_done);
    pthread_mutex_unlock(&work);
}

static void* serve_one(void* argument) {
    int fd = (int)(intptr_t)argument;
    answer(fd);
    close(fd);
    count_work(-1);
    return NULL;
}

static void end_gracefully(int number) {
    (void)number;
    if (write(asked_to_end[1], "", 1) != 1) _exit(93);
}

static void finish_work(void) {
    close(listener); /* first: who comes at the event must not be accepted */
    tell("event", "stopping");
    pthread_mutex_lock(&work);
    while (at_work > 0) pthread_cond_wait(&work_done, &work);
    _exit(0);
}

static void serve(int answers) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 1 << 18);
    for (;;) {
        struct pollfd items[2] = {{listener, POLLIN, 0}, {asked_to_end[0], POLLIN, 0}};
        if (poll(items, 2, -1) < 0) continue;
        if (items[1].revents) finish_work();
        int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (fd < 0) continue;
        if (!answers) continue; /* kept open, never read */
        pthread_t thread;
        count_work(1);
        if (pthread_create(&thread, &attributes, serve_one, (void*)(intptr_t)fd) != 0) _exit(95);
    }
}

/* ---- the plan ----------------------------------------------------------------------------------------- */

static int is(const char* word, const char* verb) { return strcmp(word, verb) == 0; }

/* The process ends with 0 and a child goes on: only when the kernel has said that it ended, so that nobody who asks later can
 * still find it at work. */
static void leave(void) {
    int self = (int)syscall(SYS_pidfd_open, getpid(), 0);
    pid_t child = fork();
    if (child > 0) _exit(0);
    struct pollfd item = {self, POLLIN, 0};
    while (child == 0 && self >= 0 && poll(&item, 1, -1) < 0) {}
    if (self >= 0) close(self);
}

static void follow(char* text) {
    for (char* at = text; at && *at;) {
        char* next = strchr(at, '\n');
        if (next) *next++ = 0;
        char* rest = strchr(at, ' ');
        if (rest) *rest++ = 0;
        else rest = "";
        if (is(at, "event")) tell("event", rest);
        else if (is(at, "hold")) tell("hold", rest);
        else if (is(at, "pause")) poll(NULL, 0, atoi(rest));
        else if (is(at, "print")) printf("%s\n", rest), fflush(stdout);
        else if (is(at, "complain")) fprintf(stderr, "%s\n", rest);
        else if (is(at, "flood")) {
            for (long left = atol(rest); left > 0; left -= 64)
                if (write(1, "012345678901234567890123456789012345678901234567890123456789abc\n", 64) < 0) break;
        } else if (is(at, "fork")) {
            leave();
        } else if (is(at, "daemon")) {
            leave();
            setsid();
            leave();
        } else if (is(at, "wrap")) {
            pid_t child = fork();
            int status = 0;
            if (child > 0) {
                while (waitpid(child, &status, 0) < 0) {}
                if (WIFSIGNALED(status)) _exit(128 + WTERMSIG(status));
                _exit(WEXITSTATUS(status));
            }
        } else if (is(at, "helper")) {
            if (fork() == 0)
                for (;;) pause();
        } else if (is(at, "escape")) {
            if (fork() == 0) {
                setsid();
                signal(SIGTERM, SIG_IGN);
                for (;;) pause();
            }
        } else if (is(at, "http")) speaks_http = 1;
        else if (is(at, "silent")) silent = rest;
        else if (is(at, "at")) setenv("ROUSE_SOCKET", rest, 1);
        else if (is(at, "close-all")) {
            for (int fd = 3; fd < 1024; fd++)
                if (fd != listener) close(fd);
        } else if (is(at, "mortal")) mortal = 1;
        else if (is(at, "graceful")) {
            if (pipe(asked_to_end) != 0) _exit(93);
            signal(SIGTERM, end_gracefully);
        }
        else if (is(at, "ignore")) signal(atoi(rest), SIG_IGN);
        else if (is(at, "exit")) exit(atoi(rest));
        else if (is(at, "die")) die(atoi(rest));
        else if (is(at, "never")) {
            for (;;) pause();
        } else if (is(at, "unlink")) unlink(getenv("ROUSE_SOCKET"));
        else if (is(at, "bind")) listener = open_socket();
        else if (is(at, "listen")) {
            if (listen(listener, atoi(rest)) != 0) _exit(98);
        } else if (is(at, "drop")) {
            for (int count = atoi(rest); count > 0; count--) {
                int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
                struct pollfd item = {fd, POLLIN, 0};
                poll(&item, 1, 10000);
                close(fd);
            }
        } else if (is(at, "serve")) serve(1);
        else if (is(at, "accept-only")) serve(0);
        else if (*at) {
            fprintf(stderr, "launched: unknown verb %s\n", at);
            _exit(94);
        }
        at = next;
    }
}

/* How many runs of the script had begun when the line of this one was written, itself among them. */
static int run_number(off_t end) {
    char path[PATH_MAX], bytes[4096];
    snprintf(path, sizeof path, "%s/starts", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC), lines = 0;
    while (fd >= 0 && end > 0) {
        ssize_t got = read(fd, bytes, end < (off_t)sizeof bytes ? (size_t)end : sizeof bytes);
        if (got <= 0) break;
        for (ssize_t i = 0; i < got; i++) lines += bytes[i] == '\n';
        end -= got;
    }
    close(fd);
    return lines;
}

/* The part of the plan for this run. */
static char* part_for(int number, char* plan) {
    for (char* next; number > 1 && (next = strstr(plan, "\nrun\n")) != NULL; number--) plan = next + 5;
    char* end = strstr(plan, "\nrun\n");
    if (end) *end = 0;
    return plan;
}

int main(int argc, char** argv) {
    if (argc < 2) return 94;
    folder = argv[1];
    off_t recorded = record_start(argc, argv);
    char path[PATH_MAX];
    static char plan[16384];
    snprintf(path, sizeof path, "%s/plan", folder);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, plan, sizeof plan - 1);
    close(fd);
    if (length < 0) return 94;
    follow(part_for(run_number(recorded), plan));
    return 0;
}
