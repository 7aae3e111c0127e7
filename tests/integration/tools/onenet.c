/*
 * onenet: run a program in a network of its own, with a loopback and two ephemeral ports, PORT (even) and the next.
 * Linux takes the even one first: whoever connects to PORT without a listener there is connected to itself.
 *
 *   onenet PORT PATH [ARG ...]
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

int main(int argc, char** argv) {
    if (argc < 3 || unshare(CLONE_NEWNET) != 0) return 125;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    struct ifreq interface = {0};
    strcpy(interface.ifr_name, "lo");
    interface.ifr_flags = IFF_UP | IFF_RUNNING;
    if (fd < 0 || ioctl(fd, SIOCSIFFLAGS, &interface) != 0) return 125;
    close(fd);
    char range[32];
    int length = snprintf(range, sizeof range, "%s %d\n", argv[1], atoi(argv[1]) + 1);
    fd = open("/proc/sys/net/ipv4/ip_local_port_range", O_WRONLY | O_CLOEXEC);
    if (fd < 0 || write(fd, range, (size_t)length) != length) return 125;
    close(fd);
    execv(argv[2], argv + 2);
    return 125;
}
