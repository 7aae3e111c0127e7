/*
 * count TIMES PROGRAM: runs of it, looked at by ptrace. Writes a line:
 *
 *   SYSTEM-CALLS  THOSE-OF-ITS-CHILDREN  INSTRUCTIONS  THOSE-OF-ITS-CHILDREN  MOST-RESIDENT-KB
 *
 * TIMES runs stop at each system call (execve and exit are two); the one with the fewest counts, because on a busy machine a
 * server answers late or in two pieces, and a bridge looks once more. One more run stops at each instruction of user
 * space. One that repeats itself (rep movs) counts once.
 */
#include "bench.h"
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/user.h>

static long resident; /* kB */

static void note_resident(pid_t process)
{
    char path[64], line[256];
    snprintf(path, sizeof path, "/proc/%d/status", process);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file))
        if (!strncmp(line, "VmHWM:", 6) && atol(line + 6) > resident)
            resident = atol(line + 6);
    if (file)
        fclose(file);
}

/* counts[0] are the program's own, counts[1] its children's. */
static void look(char *program, int request, long *counts)
{
    int ends[2], status, input = open_null();
    char *words[] = {program, NULL};
    make_pipe(ends);
    pid_t child = fork();
    if (child == 0) {
        dup2(input, 0);
        dup2(ends[1], 1);
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        kill(getpid(), SIGSTOP);
        execve(program, words, environ);
        _exit(127);
    }
    close(ends[1]);
    close(input);
    waitpid(child, &status, 0);
    long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACEEXEC |
                   PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL;
    if (ptrace(PTRACE_SETOPTIONS, child, 0, options) < 0)
        stop("ptrace");
    int executed = 0;
    unsigned long before = 0;
    ptrace(PTRACE_SYSCALL, child, 0, 0);
    for (pid_t process; (process = waitpid(-1, &status, __WALL)) > 0;) {
        if (!WIFSTOPPED(status))
            continue;
        int event = status >> 16, signal = event ? 0 : WSTOPSIG(status), how = executed ? request : PTRACE_SYSCALL;
        if (event == PTRACE_EVENT_EXEC) {
            executed = 1;
            how = request;
        } else if (event == PTRACE_EVENT_EXIT && process == child) {
            note_resident(process);
        } else if (signal == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info information;
            ptrace(PTRACE_GET_SYSCALL_INFO, process, sizeof information, &information);
            counts[process != child] += request == PTRACE_SYSCALL && information.op == PTRACE_SYSCALL_INFO_ENTRY;
            signal = 0;
        } else if (signal == SIGTRAP && request == PTRACE_SINGLESTEP) {
            struct user_regs_struct registers;
            ptrace(PTRACE_GETREGS, process, 0, &registers);
            counts[process != child] += registers.rip != before;
            before = registers.rip;
            signal = 0;
        } else if (signal == SIGSTOP || signal == SIGTRAP) {
            signal = 0; /* a child's first stop */
        }
        ptrace(how, process, 0, (long)signal);
    }
    close(ends[0]);
}

int main(int count, char **words)
{
    long calls[2] = {1 << 20, 0}, instructions[2] = {0, 0};
    if (count != 3)
        return 2;
    adopt_orphans();
    cpu_set_t one; /* two processors that wake each other at every instruction take several times as long as one */
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    sched_setaffinity(0, sizeof one, &one);
    for (int left = atoi(words[1]); left > 0; --left) {
        long these[2] = {0, 0};
        look(words[2], PTRACE_SYSCALL, these);
        if (these[0] < calls[0])
            memcpy(calls, these, sizeof calls);
    }
    look(words[2], PTRACE_SINGLESTEP, instructions);
    printf("%ld %ld %ld %ld %ld\n", calls[0], calls[1], instructions[0], instructions[1], resident);
}
