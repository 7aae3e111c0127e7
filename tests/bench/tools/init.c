/*
 * init COMMAND...: process 1 of a PID namespace. It runs the command, waits for whatever becomes an orphan, as every
 * system's process 1 does, and ends with the command: then the kernel ends all that is left.
 */
#include "bench.h"

int main(int count, char **words)
{
    int status;
    pid_t command = count < 2 ? -1 : fork();
    if (command == 0) {
        execvp(words[1], words + 1);
        _exit(127);
    }
    for (pid_t ended; (ended = wait(&status)) != command;)
        if (ended < 0)
            return 2;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
