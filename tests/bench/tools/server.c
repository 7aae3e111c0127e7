/*
 * server BOOT NOTE WORKERS ADDRESS...: an SCGI server that does nothing but answer.
 *
 * It listens after BOOT milliseconds and up to 15 more, by chance unless BOOT is 0: whoever looks at fixed times must not
 * always look at the same moment of a boot. Then it writes its process id and the moment (monotonic, ns) to the file NOTE. An
 * ADDRESS is a path or 127.0.0.1:PORT, each with so many processes; without ADDRESS it is $ROUSE_SOCKET. A request whose
 * QUERY_STRING is down=N gets N bytes; every body is read to its end first.
 */
#include "../programs/answer.h"
#include "bench.h"
#include <netinet/in.h>
#include <arpa/inet.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

static char head[65536], bulk[262144];

static int listen_at(const char *address)
{
    const char *colon = strchr(address, ':');
    struct sockaddr_in port = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_un path = {.sun_family = AF_UNIX};
    int listener = socket(colon ? AF_INET : AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (colon) {
        port.sin_port = htons((unsigned short)atoi(colon + 1));
        setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    } else {
        snprintf(path.sun_path, sizeof path.sun_path, "%s", address);
        unlink(address);
    }
    if (bind(listener, colon ? (struct sockaddr *)&port : (struct sockaddr *)&path, colon ? sizeof port : sizeof path) < 0)
        stop(address);
    if (!colon)
        chmod(address, 0777); /* a web server may run as another user */
    if (listen(listener, 4096) < 0)
        stop("listen");
    return listener;
}

/* The value of a variable in the head, which begins behind the netstring's colon. */
static const char *value(const char *from, const char *end, const char *name)
{
    while (from < end) {
        const char *text = from + strlen(from) + 1;
        if (!strcmp(from, name))
            return text;
        from = text + strlen(text) + 1;
    }
    return "";
}

static void write_all(int to, const char *from, unsigned long length)
{
    for (ssize_t count; length; from += count, length -= (unsigned long)count)
        if ((count = write(to, from, length)) <= 0)
            return;
}

static void answer(int client)
{
    size_t got = 0, size = 0, begin = 0;
    while (size == 0 || got < size) {
        ssize_t count = read(client, head + got, sizeof head - 1 - got);
        if (count <= 0)
            return;
        got += (size_t)count;
        head[got] = '\0';
        char *colon = memchr(head, ':', got);
        if (colon && size == 0) {
            begin = (size_t)(colon + 1 - head);
            size = begin + strtoul(head, NULL, 10) + 1; /* with the comma */
        }
    }
    const char *variables = head + begin, *end = head + size - 1;
    unsigned long left = strtoul(value(variables, end, "CONTENT_LENGTH"), NULL, 10);
    for (left -= got - size; left;) {
        ssize_t count = read(client, bulk, left < sizeof bulk ? left : sizeof bulk);
        if (count <= 0)
            return;
        left -= (unsigned long)count;
    }
    const char *query = value(variables, end, "QUERY_STRING");
    if (strncmp(query, "down=", 5)) {
        write_all(client, ANSWER, sizeof ANSWER - 1);
        return;
    }
    static const char start[] = "Status: 200 OK\r\nContent-Type: application/octet-stream\r\n\r\n";
    write_all(client, start, sizeof start - 1);
    for (left = strtoul(query + 5, NULL, 10); left; left -= left < sizeof bulk ? left : sizeof bulk)
        write_all(client, bulk, left < sizeof bulk ? left : sizeof bulk);
}

static void serve(int listener)
{
    for (;;) {
        int client = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
        if (client < 0)
            continue;
        answer(client);
        close(client);
    }
}

int main(int count, char **words)
{
    if (count < 4)
        return 2;
    int boot = atoi(words[1]), workers = atoi(words[3]), last = -1;
    char *given = getenv("ROUSE_SOCKET"), **addresses = words + 4;
    int listeners = count - 4;
    if (listeners == 0 && given) {
        addresses = &given;
        listeners = 1;
    }
    signal(SIGPIPE, SIG_IGN);
    boot += boot ? (int)(now() / 1000000 % 16) : 0;
    nanosleep(&(struct timespec){boot / 1000, boot % 1000 * 1000000L}, NULL);
    for (int index = 0; index < listeners; ++index)
        for (int worker = 0, listener = last = listen_at(addresses[index]); worker < workers; ++worker)
            if ((index < listeners - 1 || worker < workers - 1) && fork() == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL); /* killing the server is killing one process */
                serve(listener);
            }
    char line[64];
    int length = snprintf(line, sizeof line, "%d %lld\n", getpid(), now());
    int note = open(words[2], O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (note >= 0 && write(note, line, (size_t)length) == length)
        close(note);
    serve(last);
}
