/*
 * plain_cgi: the plainest CGI program that a web server can run, as the measure of what it does to any.
 *
 *   #!/path/of/plain_cgi
 *   the bytes that it writes on standard output
 *
 * It first takes the whole body (CONTENT_LENGTH bytes; without a length and with a transfer coding, to the end of
 * standard input), then writes what stands behind the first line of the file that names it, and exits 0. What it got
 * it leaves in FILE.got: every entry of its environment, each behind itself with a NUL, one NUL more, then the body.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

extern char** environ;

static void give_up(const char* action, const char* subject) {
    fprintf(stderr, "plain_cgi: cannot %s %s: %s\n", action, subject, strerror(errno));
    _exit(1);
}

static void write_all(int fd, const char* bytes, size_t length) {
    while (length > 0) {
        ssize_t count = write(fd, bytes, length);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) _exit(1); /* the web server has no use for the rest */
        bytes += count;
        length -= (size_t)count;
    }
}

/* At most `wanted` bytes, fewer at the end of the input. */
static void copy(int from, int to, unsigned long long wanted) {
    static char bytes[65536];
    while (wanted > 0) {
        ssize_t count = read(from, bytes, wanted < sizeof bytes ? (size_t)wanted : sizeof bytes);
        if (count < 0 && errno == EINTR) continue;
        if (count <= 0) return;
        write_all(to, bytes, (size_t)count);
        wanted -= (unsigned long long)count;
    }
}

int main(int count, char** words) {
    if (count < 2) return 2;
    signal(SIGPIPE, SIG_DFL);
    int file = open(words[1], O_RDONLY | O_CLOEXEC);
    if (file < 0) give_up("open", words[1]);

    char place[4096];
    snprintf(place, sizeof place, "%s.got", words[1]);
    int got = open(place, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (got < 0) give_up("create", place);
    for (char** entry = environ; *entry; entry++) write_all(got, *entry, strlen(*entry) + 1);
    write_all(got, "", 1);
    const char* length = getenv("CONTENT_LENGTH");
    const char* coding = getenv("HTTP_TRANSFER_ENCODING");
    unsigned long long wanted = 0;
    if (length && *length)
        wanted = strtoull(length, NULL, 10);
    else if (coding && *coding)
        wanted = ~0ULL;
    copy(0, got, wanted);
    close(got);

    char byte = 0;
    while (read(file, &byte, 1) == 1 && byte != '\n') continue;
    copy(file, 1, ~0ULL);
    return 0;
}
