/*
 * load PORT CLIENTS ROUNDS SLICE PATH...: clients of a web server on 127.0.0.1, each with one request after another, all with
 * a connection of their own. In each of the ROUNDS every PATH is asked for SLICE milliseconds, in the order of
 * whose_turn(). Writes a line for each such slice:
 *
 *   PATH'S-NUMBER  NANOSECONDS  BAD-ANSWERS  LATENCY-US...
 *
 * A slice ends when the last request that was begun in it has ended.
 */
#include "bench.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum { CLIENTS = 64, LATENCIES = 1 << 17 };

struct client {
    int socket;
    int sent;
    long long began;
    size_t got;
    char text[8192];
};

static struct client clients[CLIENTS];
static unsigned latencies[LATENCIES];
static int done, bad, port, poller;
static char request[512];

static void begin(struct client *client)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    client->began = now();
    client->sent = 0;
    client->got = 0;
    client->socket = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (client->socket < 0)
        stop("socket");
    if (connect(client->socket, (struct sockaddr *)&address, sizeof address) < 0 && errno != EINPROGRESS)
        stop("connect");
    struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = client};
    epoll_ctl(poller, EPOLL_CTL_ADD, client->socket, &event);
}

/* Answers whether the request has ended. */
static int proceed(struct client *client, unsigned events)
{
    if (!client->sent && events & EPOLLOUT) {
        client->sent = 1;
        if (write(client->socket, request, strlen(request)) < 0)
            client->got = 0;
    }
    for (;;) {
        ssize_t count = read(client->socket, client->text + client->got, sizeof client->text - client->got);
        if (count < 0 && errno == EAGAIN)
            return 0;
        if (count <= 0)
            break;
        client->got += (size_t)count;
    }
    static const char end[] = "\r\n\r\nhello, world\n";
    size_t size = sizeof end - 1;
    int good = client->got > size && !memcmp(client->text, "HTTP/1.", 7) && !memcmp(client->text + 8, " 200 ", 5) &&
               !memcmp(client->text + client->got - size, end, size);
    if (done < LATENCIES)
        latencies[done] = (unsigned)((now() - client->began) / 1000);
    done++;
    bad += !good;
    close(client->socket);
    return 1;
}

static void slice(int number, const char *path, int count, long long length)
{
    int busy = count;
    done = bad = 0;
    snprintf(request, sizeof request, "GET %s HTTP/1.0\r\nHost: localhost\r\nUser-Agent: bench\r\nAccept: */*\r\n\r\n", path);
    long long began = now();
    for (int index = 0; index < count; ++index)
        begin(&clients[index]);
    while (busy) {
        struct epoll_event events[CLIENTS];
        int ready = epoll_wait(poller, events, CLIENTS, 60000);
        if (ready == 0) {
            fprintf(stderr, "load: no answer from %s within a minute\n", path);
            exit(2);
        }
        for (int index = 0; index < ready; ++index) {
            struct client *client = events[index].data.ptr;
            if (!proceed(client, events[index].events))
                continue;
            if (now() - began < length)
                begin(client);
            else
                busy--;
        }
    }
    printf("%d %lld %d", number, now() - began, bad);
    for (int index = 0; index < done && index < LATENCIES; ++index)
        printf(" %u", latencies[index]);
    putchar('\n');
}

int main(int count, char **words)
{
    if (count < 6 || atoi(words[2]) > CLIENTS)
        return 2;
    port = atoi(words[1]);
    int paths = count - 5, rounds = atoi(words[3]);
    poller = epoll_create1(EPOLL_CLOEXEC);
    for (int round = -1; round < rounds; ++round)
        for (int turn = 0; turn < paths; ++turn) {
            int number = whose_turn(round, turn, paths);
            slice(round < 0 ? -1 : number, words[5 + number], atoi(words[2]), round < 0 ? 0 : atoll(words[4]) * 1000000);
        }
}
