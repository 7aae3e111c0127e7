/*
 * limit SOCKET: the least that any bridge must do. Connect, send the environment in one write, copy the body, copy the
 * answer, exit. Nothing is checked, nothing has a time-out, nobody is woken; bodies go through 8 kB of memory.
 *
 * With GONE_FIRST the process is surely gone before its output's end is seen: exit() closes descriptors first and only then
 * ends the process, so somebody who reads to the end and then asks whether the process still exists usually finds it. Here
 * a child that shares memory and descriptors keeps them open, and the kernel kills it when its parent is no more. A parent
 * that was gone before the child asked for that shows as another parent.
 *
 * With PATIENT it tries again each millisecond until the server listens: what the simplest loop that waits can see.
 */
#define _GNU_SOURCE
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { ROOM = 64 }; /* before the variables: the netstring's length, and CONTENT_LENGTH, which comes first */

extern char **environ;
static char head[ROOM + 65536], copied[8192];

static char *put(char *to, const char *text)
{
    size_t length = strlen(text) + 1;
    memcpy(to, text, length);
    return to + length;
}

static char *put_backwards(char *to, unsigned long number)
{
    do
        *--to = (char)('0' + number % 10);
    while (number /= 10);
    return to;
}

static void copy(int from, int to, unsigned long left)
{
    ssize_t count;
    while (left && (count = read(from, copied, left < sizeof copied ? left : sizeof copied)) > 0) {
        for (ssize_t done = 0, more; done < count; done += more)
            if ((more = write(to, copied + done, (size_t)(count - done))) < 0)
                _exit(1);
        left -= (unsigned long)count;
    }
}

#ifdef GONE_FIRST
static char stack[4096] __attribute__((aligned(16)));

static int hold(void *parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    while (getppid() == *(pid_t *)parent)
        pause();
    _exit(0);
}
#endif

int main(int count, char **words)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    unsigned long length = 0;
    char *end = put(put(head + ROOM, "SCGI"), "1");
    if (count < 2)
        return 2;
    for (char **entry = environ; *entry; ++entry) {
        char *name = end;
        if (!strncmp(*entry, "CONTENT_LENGTH=", 15)) {
            length = strtoul(*entry + 15, NULL, 10);
            continue;
        }
        end = put(end, *entry);
        char *equals = strchr(name, '=');
        if (equals)
            *equals = '\0';
        else
            end = name;
    }
    char *begin = head + ROOM - 1; /* a zero byte */
    begin = put_backwards(begin, length) - 15;
    memcpy(begin, "CONTENT_LENGTH", 15);
    char *colon = begin - 1;
    *colon = ':';
    begin = put_backwards(colon, (unsigned long)(end - colon - 1));
    *end++ = ',';

    strcpy(address.sun_path, words[1]);
    int server = socket(AF_UNIX, SOCK_STREAM, 0);
#ifdef PATIENT
    while (connect(server, (struct sockaddr *)&address, sizeof address) < 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
#else
    connect(server, (struct sockaddr *)&address, sizeof address);
#endif
    if (write(server, begin, (size_t)(end - begin)) != end - begin)
        return 1;
    copy(0, server, length);
    copy(server, 1, -1ul);
#ifdef GONE_FIRST
    pid_t self = getpid();
    clone(hold, stack + sizeof stack, CLONE_VM | CLONE_FILES | CLONE_FS, &self);
#endif
    _exit(0);
}
