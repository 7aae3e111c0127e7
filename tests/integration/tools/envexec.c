/*
 * envexec: become a program with an environment, descriptors and signals that no shell and no
 * Python library can express.
 *
 *   envexec [options] -- PATH ARGV0 [ARG ...]
 *     -e FD    raw environment, entries separated by NUL, read to end of file (default: none). Entries
 *              need no "=", may share a name and may hold any byte.
 *     -a FD    announce: write one byte when everything is set up, just before the gate
 *     -g FD    gate: read until its write end is closed everywhere, then go on
 *     -b all   block every signal                  -i LIST  ignore these signals ("13,15" or "all")
 *     -r N:SOFT:HARD  resource limit N             -c FD    close this descriptor (0, 1, 2; repeatable)
 *     -d DIR   working directory                   -u UID:GID  become this user, without other groups
 *     -m MODE  umask, octal                        -n NAME  a UTS namespace of its own with this node name
 *     -s       session of its own                 -k FD    leave this one open at the exec (repeatable)
 *     -N       a network of its own: abstract socket names are its own, too
 *
 * Every disposition is set to its default and the mask is emptied first: what the test asks for is then
 * the whole truth. Descriptors above 2 are closed at the exec. Exit status 125: could not be set up.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static void give_up(const char* action, const char* subject) {
    fprintf(stderr, "envexec: cannot %s %s: %s\n", action, subject, strerror(errno));
    _exit(125);
}

/* The kernel's own struct: the library refuses the signals that it keeps for itself (32 and 33). */
struct kernel_sigaction {
    void (*handler)(int);
    unsigned long flags;
    void (*restorer)(void);
    unsigned long mask;
};

static void set_disposition(int number, void (*handler)(int)) {
    struct kernel_sigaction action = {handler, 0, 0, 0};
    syscall(SYS_rt_sigaction, number, &action, 0, 8); /* KILL and STOP refuse, as they should */
}

static char* read_all(int fd, size_t* length) {
    size_t room = 65536;
    char* bytes = malloc(room + 1);
    *length = 0;
    for (;;) {
        ssize_t count = read(fd, bytes + *length, room - *length);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) give_up("read", "the environment");
        if (count == 0) break;
        *length += (size_t)count;
        if (*length == room) bytes = realloc(bytes, (room *= 2) + 1);
    }
    bytes[*length] = 0;
    return bytes;
}

int main(int argc, char** argv) {
    int environment = -1, announce = -1, gate = -1, block_all = 0;
    int closed[3] = {0, 0, 0}, kept[16], kept_count = 0;
    const char* ignored = "";
    const char* user = NULL;

    for (int number = 1; number <= 64; number++) set_disposition(number, SIG_DFL);
    unsigned long mask = 0;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);

    int option;
    while ((option = getopt(argc, argv, "+e:a:g:b:i:r:c:d:u:m:n:sk:N")) != -1) {
        switch (option) {
        case 'e': environment = atoi(optarg); break;
        case 'a': announce = atoi(optarg); break;
        case 'g': gate = atoi(optarg); break;
        case 'b': block_all = 1; break;
        case 'i': ignored = optarg; break;
        case 'c': closed[atoi(optarg)] = 1; break;
        case 'u': user = optarg; break;
        case 'm': umask((mode_t)strtol(optarg, NULL, 8)); break;
        case 's': setsid(); break;
        case 'k':
            if (kept_count < 16) kept[kept_count++] = atoi(optarg);
            break;
        case 'd':
            if (chdir(optarg) != 0) give_up("enter", optarg);
            break;
        case 'n':
            if (unshare(CLONE_NEWUTS) != 0 || sethostname(optarg, strlen(optarg)) != 0) give_up("name the node", optarg);
            break;
        case 'N':
            if (unshare(CLONE_NEWNET) != 0) give_up("have", "a network of its own");
            break;
        case 'r': {
            unsigned number;
            unsigned long long soft, hard;
            if (sscanf(optarg, "%u:%llu:%llu", &number, &soft, &hard) != 3) return 125;
            struct rlimit limit = {(rlim_t)soft, (rlim_t)hard};
            if (setrlimit((int)number, &limit) != 0) give_up("set the limit", optarg);
            break;
        }
        default: return 125;
        }
    }
    if (optind + 2 > argc) {
        fprintf(stderr, "usage: envexec [options] -- PATH ARGV0 [ARG ...]\n");
        return 125;
    }

    size_t length = 0;
    char* bytes = environment >= 0 ? read_all(environment, &length) : strdup("");
    size_t count = 0;
    for (size_t i = 0; i < length; i++) count += bytes[i] == 0;
    char** entries = calloc(count + 2, sizeof *entries);
    size_t filled = 0;
    for (size_t start = 0; start < length; start += strlen(bytes + start) + 1) entries[filled++] = bytes + start;

    if (user) {
        unsigned uid, gid;
        if (sscanf(user, "%u:%u", &uid, &gid) != 2) return 125;
        if (setgroups(0, NULL) != 0 || setgid(gid) != 0 || setuid(uid) != 0) give_up("become", user);
    }
    for (int fd = 3; fd < 1024; fd++) fcntl(fd, F_SETFD, FD_CLOEXEC); /* ours, and what a shell left to pytest */
    for (int i = 0; i < kept_count; i++) fcntl(kept[i], F_SETFD, 0);

    for (int number = 1; number <= 64; number++) {
        char word[8];
        snprintf(word, sizeof word, "%d", number);
        int wanted = strcmp(ignored, "all") == 0;
        for (const char* at = ignored; !wanted && at && *at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
            wanted = atoi(at) == number;
        if (wanted) set_disposition(number, SIG_IGN);
    }
    if (block_all) mask = ~0UL;
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, 0, 8);

    if (announce >= 0 && write(announce, "p", 1) != 1) give_up("announce", "itself");
    if (gate >= 0) {
        char byte;
        ssize_t got;
        while ((got = read(gate, &byte, 1)) > 0 || (got < 0 && errno == EINTR)) {}
        if (got < 0) give_up("wait at", "the gate");
    }
    for (int fd = 0; fd < 3; fd++)
        if (closed[fd]) close(fd);
    execve(argv[optind], argv + optind + 1, entries);
    give_up("execute", argv[optind]);
}
