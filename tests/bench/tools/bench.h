/* What the measuring programs share: the clock, an end in words, and a child that is started as a web server does it. */
#pragma once
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static inline void stop(const char *what)
{
    perror(what);
    exit(2);
}

/* Nanoseconds of the monotonic clock. */
static inline long long now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000LL + time.tv_nsec;
}

/* Microseconds of user and system time. */
static inline long long processor(const struct rusage *usage)
{
    return (usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000LL + usage->ru_utime.tv_usec + usage->ru_stime.tv_usec;
}

/* Which of `count` has turn `turn` of round `round`. Who comes after a program may pay for what that left to be done, so within
 * two times `count` rounds each comes after each other one equally often (a Williams design: 0 1 n-1 2 n-2 ..., moved and
 * reversed). The round before the first may be -1. */
static inline int whose_turn(int round, int turn, int count)
{
    int place = round % 2 ? count - 1 - turn : turn;
    int step = place % 2 ? (place + 1) / 2 : count - place / 2;
    return (step + (round + 1) / 2) % count;
}

/* vfork: the time of a fork grows with its parent's memory, and that is not the program's. */
static inline pid_t spawn(char *program, int input, int output)
{
    char *words[] = {program, NULL};
    pid_t child = vfork();
    if (child < 0)
        stop("vfork");
    if (child == 0) {
        dup2(input, 0);
        dup2(output, 1);
        execve(program, words, environ);
        _exit(127);
    }
    return child;
}

/* Whatever a program leaves behind becomes our child, so that it can be waited for and its time counted. */
static inline void adopt_orphans(void)
{
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        stop("PR_SET_CHILD_SUBREAPER");
}

static inline int open_null(void)
{
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        stop("/dev/null");
    return null;
}

static inline void make_pipe(int *ends)
{
    if (pipe2(ends, O_CLOEXEC) < 0)
        stop("pipe");
}

/* Whether what was written to standard output is the answer, and nothing else; Content-Length and order may differ. */
static inline int is_answer(const char *text, size_t length)
{
    static const char body[] = "\r\n\r\nhello, world\n";
    size_t size = sizeof body - 1;
    return length > size && length < 200 && !memcmp(text, "Status: 200", 11) && !memcmp(text + length - size, body, size);
}
