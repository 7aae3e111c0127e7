/*
 * killat: run a bridge and kill one process of a launch at its n-th system call.
 *
 *   killat LEVEL N REPORT PATH [ARG ...]
 *     LEVEL  0 the bridge, 1 its first child (the guardian), 2 that one's first child (the start script before
 *            it is executed)
 *     N      the system call before which it is killed, counted from its fork (level 0: from the exec); 0: never;
 *            negative: it is held there, as if it were stopped, until a byte comes from the FIFO REPORT.go: "k" kills
 *            it, any other lets it go on
 *     REPORT a file that is given one line: "killed CALL COUNT", or "ended COUNT" when it made fewer calls
 *
 * Everything is traced from the outside, so no step is left out and none has to be guessed in time. Other
 * processes run on untraced. The exit status is the bridge's.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum { most = 64 };
static struct {
    pid_t pid;
    int level;
} traced[most];
static int traced_count;

static pid_t early[most]; /* stopped before their parent told of them */
static int early_count;

static int take_early(pid_t pid) {
    for (int i = 0; i < early_count; i++)
        if (early[i] == pid) {
            early[i] = early[--early_count];
            return 1;
        }
    return 0;
}

static int level_of(pid_t pid) {
    for (int i = 0; i < traced_count; i++)
        if (traced[i].pid == pid) return traced[i].level;
    return -1;
}

static void forget(pid_t pid) {
    for (int i = 0; i < traced_count; i++)
        if (traced[i].pid == pid) traced[i] = traced[--traced_count];
}

static void report(const char* path, const char* text) {
    int fd = open(path, O_WRONLY | O_CREAT | O_APPEND, 0666);
    if (fd < 0 || write(fd, text, strlen(text)) < 0) _exit(125);
    close(fd);
}

static int held_until_told(const char* path) {
    char name[4096], byte = 'k';
    snprintf(name, sizeof name, "%s.go", path);
    int fd = open(name, O_RDONLY);
    if (read(fd, &byte, 1) != 1) byte = 'k';
    close(fd);
    return byte;
}

int main(int argc, char** argv) {
    if (argc < 5) return 125;
    int wanted = atoi(argv[1]);
    long number = labs(atol(argv[2]));
    int holds = argv[2][0] == '-';
    const char* path = argv[3];

    pid_t bridge = fork();
    if (bridge < 0) return 125;
    if (bridge == 0) {
        ptrace(PTRACE_TRACEME, 0, 0, 0);
        raise(SIGSTOP);
        execv(argv[4], argv + 4);
        _exit(125);
    }
    for (int fd = 0; fd < 3; fd++) close(fd); /* the end of the bridge's output must be its own */
    int status;
    if (waitpid(bridge, &status, 0) != bridge || !WIFSTOPPED(status)) return 125;
    ptrace(PTRACE_SETOPTIONS, bridge, 0,
           PTRACE_O_EXITKILL | PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE |
               PTRACE_O_TRACEEXEC);
    traced[traced_count++].pid = bridge;
    ptrace(PTRACE_CONT, bridge, 0, 0);

    int answer = 125, found[3] = {1, 0, 0}, target_over = 0, executed = 0;
    long count = 0;
    while (traced_count > 0) {
        pid_t pid = waitpid(-1, &status, __WALL);
        if (pid < 0) break;
        int level = level_of(pid);
        if (WIFEXITED(status) || WIFSIGNALED(status)) {
            if (pid == bridge) answer = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
            if (level == wanted && !target_over) {
                char text[64];
                snprintf(text, sizeof text, "ended %ld\n", count);
                report(path, text);
                target_over = 1;
            }
            forget(pid);
            continue;
        }
        if (!WIFSTOPPED(status)) continue;
        int event = status >> 16, stop = WSTOPSIG(status), deliver = 0;
        if (level < 0) {
            if (early_count < most) early[early_count++] = pid;
            continue;
        }
        int go = level == wanted ? PTRACE_SYSCALL : PTRACE_CONT;
        if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
            unsigned long child = 0;
            ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
            int below = level + 1, ignored;
            if (!take_early((pid_t)child))
                while (waitpid((pid_t)child, &ignored, __WALL) < 0 && errno == EINTR) {}
            if (below <= wanted && !found[below] && traced_count < most) {
                found[below] = 1;
                traced[traced_count].pid = (pid_t)child;
                traced[traced_count++].level = below;
                ptrace(below == wanted ? PTRACE_SYSCALL : PTRACE_CONT, (pid_t)child, 0, 0);
            } else {
                ptrace(PTRACE_DETACH, (pid_t)child, 0, 0);
            }
        } else if (event == PTRACE_EVENT_EXEC) {
            executed = 1;
            if (level == 2) { /* the script itself is not what is looked for */
                char text[64];
                snprintf(text, sizeof text, "ended %ld\n", count);
                if (wanted == 2 && !target_over) report(path, text);
                target_over = 1;
                ptrace(PTRACE_DETACH, pid, 0, 0);
                forget(pid);
                continue;
            }
        } else if (stop == (SIGTRAP | 0x80)) {
            struct __ptrace_syscall_info information = {0};
            ptrace(PTRACE_GET_SYSCALL_INFO, pid, (void*)sizeof information, &information);
            if (level == wanted && executed && information.op == PTRACE_SYSCALL_INFO_ENTRY && !target_over) {
                if (++count == number) {
                    char text[64];
                    snprintf(text, sizeof text, "killed %lld %ld\n", (long long)information.entry.nr, count);
                    report(path, text);
                    target_over = 1;
                    if (!holds || held_until_told(path) == 'k') {
                        kill(pid, SIGKILL);
                        continue;
                    }
                }
            }
        } else if (event == 0 && stop != SIGTRAP) {
            deliver = stop;
        }
        ptrace(go, pid, 0, (void*)(long)deliver);
    }
    return answer;
}
