/*
 * afterend: run a program again and again as a web server runs a CGI program, and look whether it is gone when its output
 * has ended, as Apache looks.
 *
 *   afterend waits|asks|drains pipe|socket COUNT REPORT PATH [ARG ...]
 *     waits   as the parent does who waits for it (waitid): mod_cgi
 *     asks    as one does who ignores SIGCHLD (kill with signal 0): mod_cgid
 *     drains  as one does who takes the exit for the end: waits for it first, and reads what there is then
 *     pipe    its standard output; socket: one for standard input and output
 *     REPORT  becomes "GONE EQUAL BYTES": how often it was gone at once, how often the output was that of the first run,
 *             and how long that was
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static char first[1 << 20], output[1 << 20];

int main(int argc, char** argv) {
    if (argc < 6) return 125;
    int asks = strcmp(argv[1], "asks") == 0, drains = strcmp(argv[1], "drains") == 0, sockets = strcmp(argv[2], "socket") == 0, count = atoi(argv[3]);
    int gone = 0, equal = 0;
    size_t length = 0;
    signal(SIGCHLD, asks ? SIG_IGN : SIG_DFL);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    for (int run = 0; run < count; run++) {
        int ends[2];
        if (sockets ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) : pipe2(ends, O_CLOEXEC)) return 125;
        pid_t pid = fork();
        if (pid < 0) return 125;
        if (pid == 0) {
            signal(SIGCHLD, SIG_DFL); /* as apr_proc_create does */
            dup2(sockets ? ends[1] : null, 0);
            dup2(ends[1], 1);
            execv(argv[5], argv + 5);
            _exit(125);
        }
        close(ends[1]);
        if (drains) {
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
            fcntl(ends[0], F_SETFL, O_NONBLOCK);
        }
        size_t size = 0;
        for (ssize_t got; size < sizeof output; size += (size_t)got) {
            got = read(ends[0], output + size, sizeof output - size);
            if (got < 0 && errno == EINTR) got = 0;
            else if (got <= 0) break;
        }
        if (drains) {
            gone++;
        } else if (asks) {
            gone += kill(pid, 0) != 0 && errno == ESRCH;
            while (kill(pid, 0) == 0) sched_yield();
        } else {
            siginfo_t information = {0};
            gone += waitid(P_PID, (id_t)pid, &information, WEXITED | WNOHANG | WNOWAIT) == 0 && information.si_pid == pid;
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
        }
        close(ends[0]);
        if (run == 0) memcpy(first, output, length = size);
        equal += size == length && memcmp(first, output, size) == 0;
    }
    FILE* report = fopen(argv[4], "w");
    if (!report) return 125;
    fprintf(report, "%d %d %zu\n", gone, equal, length);
    fclose(report);
    return 0;
}
