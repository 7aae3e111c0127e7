/*
 * crowd COUNT LEFT PROGRAM: so many runs of the program at once. Writes a line when all have ended:
 *
 *   FIRST-FORK-NS  LAST-ANSWER-NS  PROCESSOR-US  PROCESSOR-US-OF-ORPHANS  GOOD
 *
 * Moments are on the monotonic clock. Orphans are what the programs leave behind (a guardian, say), all but LEFT of them,
 * which go on: a server. GOOD is how many ended well; all answers together must have the length that so many have.
 */
#include "../programs/answer.h"
#include "bench.h"

/* How many children there are. A zombie counts. */
static int children(void)
{
    char path[64], text[65536];
    snprintf(path, sizeof path, "/proc/self/task/%d/children", getpid());
    int file = open(path, O_RDONLY | O_CLOEXEC), found = 0;
    ssize_t length = read(file, text, sizeof text);
    if (file < 0 || length < 0)
        stop(path);
    close(file);
    for (ssize_t index = 0; index < length; ++index)
        found += text[index] == ' ';
    return found;
}

int main(int count, char **words)
{
    if (count != 4)
        return 2;
    int runs = atoi(words[1]), left = atoi(words[2]), null = open_null(), ends[2], good = 0, status;
    long long mine = 0, others = 0, got = 0, last = 0;
    struct rusage usage;
    char text[65536];
    pid_t *pids = calloc((size_t)runs, sizeof *pids);
    adopt_orphans();
    make_pipe(ends);
    fcntl(ends[1], F_SETPIPE_SZ, 1 << 20); /* none waits for us while we still fork */
    long long began = now();
    for (int index = 0; index < runs; ++index)
        pids[index] = spawn(words[3], null, ends[1]);
    close(ends[1]);
    for (ssize_t length; (length = read(ends[0], text + (runs == 1 ? got : 0), sizeof text / 2)) > 0; got += length)
        last = now();
    for (int index = 0; index < runs; ++index) {
        if (wait4(pids[index], &status, 0, &usage) < 0)
            stop("wait4");
        mine += processor(&usage);
        good += status == 0;
    }
    while (children() > left && wait4(-1, NULL, __WALL, &usage) > 0)
        others += processor(&usage);
    if (runs == 1 ? !is_answer(text, (size_t)got) : got % runs || got / runs > (long long)sizeof ANSWER + 20)
        good = -1;
    printf("%lld %lld %lld %lld %d\n", began, last, mine, others, good);
}
