/*
 * bare ROUNDS {[NAME=VALUE] PROGRAM}...: runs each program in turn, ROUNDS times, and writes a line for each run. A variable
 * before a program is set for that one alone.
 *
 *   PROGRAM'S-NUMBER  FORK-TO-REAPED-NS  FORK-TO-END-OF-OUTPUT-NS  PROCESSOR-US  MINOR-FAULTS  GOOD
 *
 * The time is from before the fork until the process has been waited for. The next run begins when the output has ended and
 * nothing is left. Processor time is that of all that ran; faults are those of the program itself. The order is that of
 * whose_turn().
 */
#include "bench.h"

static void run(int number, char *program, int input)
{
    int ends[2], status;
    struct rusage usage, other;
    char text[65536];
    size_t got = 0;
    make_pipe(ends);
    long long began = now();
    pid_t child = spawn(program, input, ends[1]);
    close(ends[1]);
    if (wait4(child, &status, 0, &usage) < 0)
        stop("wait4");
    long long reaped = now() - began;
    for (ssize_t count; (count = read(ends[0], text + got, sizeof text - got)) > 0;)
        got += (size_t)count;
    long long ended = now() - began;
    long long time = processor(&usage);
    close(ends[0]);
    while (wait4(-1, NULL, __WALL, &other) > 0)
        time += processor(&other);
    printf("%d %lld %lld %lld %ld %d\n", number, reaped, ended, time, usage.ru_minflt, status == 0 && is_answer(text, got));
}

/* The environment, with one variable that is there already set otherwise. */
static char **environment_with(char *variable)
{
    static char *entries[256];
    size_t name = (size_t)(strchr(variable, '=') - variable) + 1;
    for (int at = 0; at < 255 && (entries[at] = environ[at]); ++at)
        if (!strncmp(entries[at], variable, name))
            entries[at] = variable;
    return entries;
}

int main(int count, char **words)
{
    static struct { char *variable, *path; } list[64];
    int programs = 0, rounds = count > 1 ? atoi(words[1]) : 0, input = open_null();
    for (int at = 2; at < count; ++at)
        if (*words[at] != '/')
            list[programs].variable = words[at];
        else if (programs < 63)
            list[programs++].path = words[at];
    if (programs == 0)
        return 2;
    adopt_orphans();
    for (int round = -1; round < rounds; ++round)
        for (int turn = 0; turn < programs; ++turn) {
            int number = whose_turn(round, turn, programs);
            char **usual = environ;
            if (list[number].variable)
                environ = environment_with(list[number].variable);
            run(round < 0 ? -1 : number, list[number].path, input);
            environ = usual;
        }
}
