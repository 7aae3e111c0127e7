/*
 * pattern: the two ends of a long stream whose every byte can be checked (pattern.h).
 *
 *   pattern source BYTES     write that many to descriptor 1
 *   pattern sink             read a CGI response from descriptor 0 to its end, check the body, print "BYTES WRONG SECONDS"
 *                            on descriptor 2: WRONG is the offset of the first wrong word or -1, SECONDS from
 *                            the first to the last byte
 */
#include "pattern.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static char bytes[1 << 16];

static double now(void) {
    struct timespec moment;
    clock_gettime(CLOCK_MONOTONIC, &moment);
    return (double)moment.tv_sec + (double)moment.tv_nsec / 1e9;
}

static int source(long long total) {
    for (long long sent = 0; sent < total;) {
        size_t count = sizeof bytes;
        if ((long long)count > total - sent) count = (size_t)(total - sent);
        pattern_fill(bytes, count, (uint64_t)sent);
        for (size_t done = 0; done < count;) {
            ssize_t wrote = write(1, bytes + done, count - done);
            if (wrote < 0 && errno == EINTR) continue;
            if (wrote <= 0) return 1;
            done += (size_t)wrote;
        }
        sent += (long long)count;
    }
    return 0;
}

static int sink(void) {
    long long received = 0, wrong = -1;
    int line_is_empty = 1, in_body = 0;
    double first = 0, last = 0;
    ssize_t got;
    while ((got = read(0, bytes, sizeof bytes)) > 0) {
        if (first == 0) first = now();
        ssize_t at = 0;
        for (; !in_body && at < got; at++) {
            if (bytes[at] == '\n') {
                in_body = line_is_empty;
                line_is_empty = 1;
            } else if (bytes[at] != '\r') {
                line_is_empty = 0;
            }
        }
        if (wrong < 0) wrong = pattern_check(bytes + at, (size_t)(got - at), (uint64_t)received);
        received += got - at;
    }
    last = now();
    fprintf(stderr, "%lld %lld %.6f\n", received, wrong, last - first);
    return got < 0;
}

int main(int argc, char** argv) {
    if (argc == 3 && strcmp(argv[1], "source") == 0) return source(atoll(argv[2]));
    if (argc == 2 && strcmp(argv[1], "sink") == 0) return sink();
    return 2;
}
