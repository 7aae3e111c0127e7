/*
 * crowd COUNT PROGRAM: so many runs of the program at once. Writes a line when all have ended:
 *
 *   FIRST-FORK-NS  LAST-ANSWER-NS  PROCESSOR-US  GOOD
 *
 * Moments are on the monotonic clock. GOOD is how many ended well; all answers together must have the length that so many have.
 */
#include "../programs/answer.h"
#include "bench.h"

int main(int count, char **words)
{
    if (count != 3)
        return 2;
    int runs = atoi(words[1]), null = open_null(), ends[2], good = 0, status;
    long long time = 0, got = 0, last = 0;
    struct rusage usage;
    char text[65536];
    pid_t *pids = calloc((size_t)runs, sizeof *pids);
    make_pipe(ends);
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); /* none waits for us while we still fork */
    long long began = now();
    for (int index = 0; index < runs; ++index)
        pids[index] = spawn(words[2], null, ends[1]);
    close(ends[1]);
    for (ssize_t length; (length = read(ends[0], text + (runs == 1 ? got : 0), sizeof text / 2)) > 0; got += length)
        last = now();
    for (int index = 0; index < runs; ++index) {
        if (wait4(pids[index], &status, 0, &usage) < 0)
            stop("wait4");
        time += processor(&usage);
        good += status == 0;
    }
    if (runs == 1 ? !is_answer(text, (size_t)got) : got % runs || got / runs > (long long)sizeof ANSWER + 20)
        good = -1;
    printf("%lld %lld %lld %d\n", began, last, time, good);
}
