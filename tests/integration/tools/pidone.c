/*
 * pidone: run a program in a PID namespace of its own, whose process 1 bears a name and reaps orphans, or does not.
 *
 *   pidone [-H] NAME reaps|never REPORT PATH [ARG ...]
 *     -H      others' processes are hidden in /proc (hidepid=2)
 *     REPORT  a file that is given a line when the program has ended and nothing runs any more: "left COUNT", of zombies
 *
 * The exit status is the program's.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* One that still runs, 0 for none; and how many zombies there are. */
static int look(int* zombies) {
    int running = *zombies = 0;
    DIR* folder = opendir("/proc");
    for (struct dirent* entry; folder && (entry = readdir(folder));) {
        int pid = atoi(entry->d_name);
        char path[64], line[512];
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE* file = pid > 1 ? fopen(path, "r") : NULL;
        if (!file) continue;
        size_t size = fread(line, 1, sizeof line - 1, file);
        fclose(file);
        line[size] = 0;
        char* state = strrchr(line, ')');
        if (!state) continue;
        if (state[2] == 'Z') ++*zombies;
        else if (state[2] != 'X') running = pid;
    }
    if (folder) closedir(folder);
    return running;
}

static int first_process(int hidden, char** argv) {
    prctl(PR_SET_NAME, argv[0]);
    int reaps = strcmp(argv[1], "reaps") == 0, answer = 125, over = 0;
    if (mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0) return 125;
    if (mount("proc", "/proc", "proc", 0, hidden ? "hidepid=2" : "") != 0) return 125;
    pid_t program = fork();
    if (program == 0) {
        execv(argv[3], argv + 3);
        _exit(125);
    }
    for (int fd = 0; fd < 3; fd++) close(fd); /* the end of the program's output must be its own */
    while (!over) {
        int status;
        pid_t pid = waitpid(reaps ? -1 : program, &status, 0);
        if (pid == program) over = 1, answer = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    int running, zombies;
    while ((running = look(&zombies)) != 0) {
        struct pollfd end = {(int)syscall(434, running, 0), POLLIN, 0}; /* pidfd_open(2) */
        if (end.fd >= 0 && poll(&end, 1, 60000) == 0) break;
        close(end.fd);
    }
    while (reaps && waitpid(-1, NULL, WNOHANG) > 0) {}
    running = look(&zombies);
    FILE* report = fopen(argv[2], "w");
    if (!report) return 125;
    fprintf(report, "left %d%s\n", zombies, running != 0 ? ", and something runs" : "");
    fclose(report);
    return answer;
}

int main(int argc, char** argv) {
    int hidden = argc > 1 && strcmp(argv[1], "-H") == 0;
    argv += 1 + hidden;
    if (argc - hidden < 5 || unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) return 125;
    pid_t first = fork();
    if (first < 0) return 125;
    if (first == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* and with it the whole namespace */
        _exit(first_process(hidden, argv));
    }
    for (int fd = 0; fd < 3; fd++) close(fd);
    int status;
    while (waitpid(first, &status, 0) < 0 && errno == EINTR) {}
    return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
