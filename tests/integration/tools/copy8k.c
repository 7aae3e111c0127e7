/*
 * copy8k: the plainest possible bridge, to compare with: read and write with a buffer of 8 kB.
 *
 *   copy8k SOCKET TOKEN LENGTH QUERY
 *
 * Sends one SCGI request with LENGTH body bytes from descriptor 0, then copies the answer to descriptor 1.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static void write_all(int fd, const char* bytes, size_t length) {
    while (length > 0) {
        ssize_t wrote = write(fd, bytes, length);
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote <= 0) exit(1);
        bytes += wrote;
        length -= (size_t)wrote;
    }
}

int main(int argc, char** argv) {
    if (argc != 5) return 2;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    strncpy(address.sun_path, argv[1], sizeof address.sun_path - 1);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || connect(fd, (struct sockaddr*)&address, sizeof address) != 0) return 1;
    char head[1024], framed[1100], buffer[8192];
    int length = snprintf(head, sizeof head, "CONTENT_LENGTH%c%s%cSCGI%c1%cREQUEST_METHOD%cPOST%cQUERY_STRING%ctoken=%s&%s%c", 0,
                          argv[3], 0, 0, 0, 0, 0, 0, argv[2], argv[4], 0);
    int start = snprintf(framed, sizeof framed, "%d:", length);
    memcpy(framed + start, head, (size_t)length);
    framed[start + length] = ',';
    write_all(fd, framed, (size_t)(start + length + 1));
    for (long long left = atoll(argv[3]); left > 0;) {
        ssize_t got = read(0, buffer, (long long)sizeof buffer < left ? sizeof buffer : (size_t)left);
        if (got <= 0) return 1;
        write_all(fd, buffer, (size_t)got);
        left -= got;
    }
    for (ssize_t got; (got = read(fd, buffer, sizeof buffer)) > 0;) write_all(1, buffer, (size_t)got);
    return 0;
}
