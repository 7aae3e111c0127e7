/*
 * steps: how many instructions a program executes from its first to its last, counted one by one (PTRACE_SINGLESTEP).
 *
 *   steps REPORT PROGRAM [ARGUMENT...]
 *
 * REPORT becomes "COUNT STATUS". Addresses are not randomised, so that the same input gives the same count: two
 * counts that differ show that the time depends on what differs between the inputs, which no clock would show.
 */
#include <stdio.h>
#include <signal.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

int main(int argc, char** argv) {
    if (argc < 3) return 94;
    pid_t child = fork();
    if (child == 0) {
        personality(ADDR_NO_RANDOMIZE);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        execv(argv[2], argv + 2);
        _exit(95);
    }
    int status = 0;
    long count = 0;
    while (waitpid(child, &status, 0) == child && WIFSTOPPED(status)) {
        int number = WSTOPSIG(status);
        count++;
        if (ptrace(PTRACE_SINGLESTEP, child, 0, number == SIGTRAP ? 0 : number) != 0) break;
    }
    FILE* report = fopen(argv[1], "w");
    if (!report) return 96;
    fprintf(report, "%ld %d\n", count, WIFEXITED(status) ? WEXITSTATUS(status) : -1);
    fclose(report);
    return 0;
}
