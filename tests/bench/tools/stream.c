/*
 * stream BYTES ROUNDS PROGRAM...: a body through each program in turn, up when CONTENT_LENGTH is set, else down. Writes a line
 * for each run:
 *
 *   PROGRAM'S-NUMBER  NANOSECONDS  PROCESSOR-US  GOOD
 *
 * What stands for the web server writes and reads 64 kB at a time, through pipes of the usual size.
 */
#include "bench.h"
#include <signal.h>

static char block[65536];

static pid_t feed(int to, long long bytes)
{
    pid_t feeder = fork();
    if (feeder)
        return feeder;
    signal(SIGPIPE, SIG_DFL);
    for (long long left = bytes; left > 0;) {
        ssize_t count = write(to, block, left < (long long)sizeof block ? (size_t)left : sizeof block);
        if (count <= 0)
            _exit(1);
        left -= count;
    }
    _exit(0);
}

static void run(int number, char *program, long long bytes, int up, int null)
{
    int in[2], out[2], status;
    struct rusage usage, other;
    char text[4096];
    long long got = 0;
    pid_t feeder = -1;
    make_pipe(in);
    make_pipe(out);
    if (up)
        feeder = feed(in[1], bytes);
    close(in[1]);
    long long began = now();
    pid_t child = spawn(program, up ? in[0] : null, out[1]);
    close(in[0]);
    close(out[1]);
    if (up) {
        for (ssize_t count; (count = read(out[0], text + got, sizeof text - (size_t)got)) > 0;)
            got += count;
    } else {
        for (ssize_t count; (count = read(out[0], block, sizeof block)) > 0;)
            got += count;
    }
    if (wait4(child, &status, 0, &usage) < 0)
        stop("wait4");
    long long took = now() - began, time = processor(&usage);
    close(out[0]);
    for (pid_t process; (process = wait4(-1, NULL, __WALL, &other)) > 0;)
        if (process != feeder)
            time += processor(&other);
    int good = status == 0 && (up ? is_answer(text, (size_t)got) : got > bytes && got < bytes + 200);
    printf("%d %lld %lld %d\n", number, took, time, good);
}

int main(int count, char **words)
{
    if (count < 4)
        return 2;
    int rounds = atoi(words[2]), programs = count - 3, null = open_null();
    adopt_orphans();
    memset(block, 'x', sizeof block);
    for (int round = 0; round < rounds; ++round)
        for (int turn = 0; turn < programs; ++turn) {
            int number = whose_turn(round, turn, programs);
            run(number, words[3 + number], atoll(words[1]), getenv("CONTENT_LENGTH") != NULL, null);
        }
}
