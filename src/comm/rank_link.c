/* The sockets. Everything is non-blocking, and a record is sent whole or not begun. */
#include "comm/rank_link.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/text_buffer.h"

#define JOIN_MS          2000 /* for one address */
#define STRANGERS        16   /* connections beyond the ranks' own */
#define STRANGER_SECONDS 60.0 /* to say who they are: ranks of a loaded machine take their time */
#define PARTING_SECONDS  0.5
#define RECORD_BYTES     sizeof(struct rank_report)

struct connection {
    int fd;
    int rank; /* -1 until it has said */
    double since;
    size_t n_in, n_out; /* bytes of `in` that came, of `out` that are still to go */
    unsigned char in[RECORD_BYTES], out[RECORD_BYTES];
};

struct rank_link {
    int listener; /* -1 but at rank 0 */
    int size;
    uint64_t token;
    pthread_mutex_t mutex; /* of the connections: rank_link_send comes from any thread */
    struct connection *connections;
    struct pollfd *polled;
    int n, most;
    bool met; /* somebody new since last asked */
};

static struct rank_link *link_new(int most, int size, uint64_t token)
{
    struct rank_link *link = memory_new(1, sizeof *link);
    *link = (struct rank_link){.listener = -1, .size = size, .token = token, .most = most};
    link->connections = memory_new((size_t)most, sizeof *link->connections);
    link->polled = memory_new((size_t)most + 1, sizeof *link->polled);
    pthread_mutex_init(&link->mutex, NULL);
    return link;
}

/* A connection closed over unread bytes is reset, and the last record may be lost with it: so the
 * other end is heard out. It closes as soon as it has read that record. */
static void part(int fd, double end)
{
    char rest[4096];
    struct pollfd polled = {.fd = fd, .events = POLLIN};
    while (monotonic_seconds() < end && poll(&polled, 1, 20) >= 0) {
        const ssize_t got = recv(fd, rest, sizeof rest, MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EWOULDBLOCK)) break;
    }
    close(fd);
}

void rank_link_close(struct rank_link *link)
{
    if (link == NULL) return;
    const double end = monotonic_seconds() + PARTING_SECONDS;
    for (int i = 0; i < link->n; i++) shutdown(link->connections[i].fd, SHUT_WR);
    for (int i = 0; i < link->n; i++) part(link->connections[i].fd, end);
    if (link->listener >= 0) close(link->listener);
    pthread_mutex_destroy(&link->mutex);
    free(link->connections);
    free(link->polled);
    free(link);
}

static void add_connection(struct rank_link *link, int fd, int rank)
{
    const int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct connection *connection = &link->connections[link->n++];
    connection->fd = fd;
    connection->rank = rank;
    connection->since = monotonic_seconds();
    connection->n_in = connection->n_out = 0;
}

static void drop_connection(struct rank_link *link, int i)
{
    close(link->connections[i].fd);
    link->connections[i] = link->connections[--link->n];
}

/* ---- meeting ---- */

/* The loopback, then those of all interfaces that are up. */
static void own_addresses(struct rank_invitation *invitation)
{
    struct ifaddrs *all = NULL;
    invitation->addresses[0].s_addr = htonl(INADDR_LOOPBACK);
    invitation->n_addresses = 1;
    if (getifaddrs(&all) != 0) return;
    for (const struct ifaddrs *one = all; one != NULL; one = one->ifa_next) {
        if (one->ifa_addr == NULL || one->ifa_addr->sa_family != AF_INET) continue;
        if ((one->ifa_flags & IFF_UP) == 0 || (one->ifa_flags & IFF_LOOPBACK) != 0) continue;
        if (invitation->n_addresses == RANK_LINK_ADDRESSES) break;
        struct sockaddr_in address;
        memcpy(&address, one->ifa_addr, sizeof address);
        invitation->addresses[invitation->n_addresses++] = address.sin_addr;
    }
    freeifaddrs(all);
}

/* One descriptor a rank: the usual 1024 may be too few. */
static void allow_descriptors(int n)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    const rlim_t wanted = limit.rlim_cur + (rlim_t)n;
    if (limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
}

enum status rank_link_listen(struct rank_link **link_out, struct rank_invitation *invitation_out,
                             int size)
{
    enum status status = OK;
    struct rank_invitation invitation = {0};
    struct rank_link *link = NULL;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_ANY)};
    socklen_t length = sizeof address;
    if (getrandom(&invitation.token, sizeof invitation.token, 0) !=
        (ssize_t)sizeof invitation.token)
        FAIL(ERR_IO, "no random number for the watchdog: %s", strerror(errno));
    link = link_new(size + STRANGERS, size, invitation.token);
    if (size > 512) allow_descriptors(size + STRANGERS);
    link->listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->listener < 0 ||
        bind(link->listener, (const struct sockaddr *)&address, sizeof address) != 0 ||
        listen(link->listener, size + STRANGERS) != 0 ||
        getsockname(link->listener, (struct sockaddr *)&address, &length) != 0)
        FAIL(ERR_IO, "cannot listen for the watchdogs of the other ranks: %s", strerror(errno));
    invitation.port = ntohs(address.sin_port);
    own_addresses(&invitation);
    *invitation_out = invitation;
    *link_out = link;
    link = NULL;
out:
    rank_link_close(link);
    return status;
}

/* -1: no answer from there. */
static int reach(struct in_addr where, uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr = where};
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int error = 0;
    socklen_t length = sizeof error;
    if (fd < 0) return -1;
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) return fd;
    struct pollfd polled = {.fd = fd, .events = POLLOUT};
    if (errno == EINPROGRESS && poll(&polled, 1, JOIN_MS) == 1 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error == 0)
        return fd;
    close(fd);
    return -1;
}

enum status rank_link_join(struct rank_link **link_out, const struct rank_invitation *invitation,
                           bool same_host)
{
    enum status status = OK;
    int fd = -1;
    for (int i = same_host ? 0 : 1; i < invitation->n_addresses && fd < 0; i++)
        fd = reach(invitation->addresses[i], invitation->port);
    if (fd < 0)
        FAIL(ERR_COMM, "no address of rank 0 answers at port %u", (unsigned)invitation->port);
    struct rank_link *link = link_new(1, 1, invitation->token);
    add_connection(link, fd, 0);
    *link_out = link;
out:
    return status;
}

/* ---- records ---- */

/* False: the other end is gone. Mutex held. */
static bool flush_out(struct connection *connection)
{
    while (connection->n_out > 0) {
        const unsigned char *rest = connection->out + RECORD_BYTES - connection->n_out;
        const ssize_t sent =
            send(connection->fd, rest, connection->n_out, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) return errno == EAGAIN || errno == EWOULDBLOCK || errno == EINTR;
        connection->n_out -= (size_t)sent;
    }
    return true;
}

/* Errors show up when the other end is read from. Mutex held. */
static void send_all(struct rank_link *link, const struct rank_report *report)
{
    for (int i = 0; i < link->n; i++) {
        struct connection *connection = &link->connections[i];
        if (connection->rank < 0 || !flush_out(connection) || connection->n_out > 0) continue;
        memcpy(connection->out, report, RECORD_BYTES);
        connection->n_out = RECORD_BYTES;
        flush_out(connection);
    }
}

void rank_link_send(struct rank_link *link, const struct rank_report *report)
{
    struct rank_report signed_report = *report;
    signed_report.magic = RANK_LINK_MAGIC;
    signed_report.token = link->token;
    pthread_mutex_lock(&link->mutex);
    send_all(link, &signed_report);
    pthread_mutex_unlock(&link->mutex);
}

/* False: not from a rank of this run, or not from the one that this connection belongs to. */
static bool take_record(struct rank_link *link, struct connection *connection,
                        struct rank_seen *seen, int64_t now_ms)
{
    struct rank_report report;
    memcpy(&report, connection->in, sizeof report);
    connection->n_in = 0;
    if (!rank_report_is_valid(&report, link->token, link->size)) return false;
    if (connection->rank >= 0 && report.rank != connection->rank) return false;
    link->met |= connection->rank < 0;
    connection->rank = report.rank;
    struct rank_seen *one = &seen[report.rank];
    one->report = report;
    one->heard_ms = now_ms;
    if (report.kind == REPORT_ALIVE && one->state == SEEN_NEVER) one->state = SEEN_ALIVE;
    if (report.kind == REPORT_LEAVING) one->state = SEEN_LEAVING;
    return true;
}

/* False: the connection is of no more use. *ending: a rank says that it ends the run. */
static bool read_some(struct rank_link *link, struct connection *connection, struct rank_seen *seen,
                      int64_t now_ms, bool *ending)
{
    for (;;) {
        const ssize_t got = recv(connection->fd, connection->in + connection->n_in,
                                 RECORD_BYTES - connection->n_in, MSG_DONTWAIT);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
        if (got == 0) return false;
        connection->n_in += (size_t)got;
        if (connection->n_in < RECORD_BYTES) continue;
        if (!take_record(link, connection, seen, now_ms)) return false;
        *ending |= seen[connection->rank].report.kind == REPORT_ENDING;
    }
}

static void accept_some(struct rank_link *link)
{
    while (link->n < link->most) {
        const int fd = accept4(link->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) return;
        add_connection(link, fd, -1);
    }
}

/* Mutex held. */
static bool serve(struct rank_link *link, struct rank_seen *seen, int64_t now_ms)
{
    bool ending = false;
    for (int i = link->n - 1; i >= 0; i--) {
        struct connection *connection = &link->connections[i];
        bool keep = flush_out(connection);
        keep = read_some(link, connection, seen, now_ms, &ending) && keep;
        const double age = monotonic_seconds() - connection->since;
        if (keep && (connection->rank >= 0 || age < STRANGER_SECONDS)) continue;
        const int rank = connection->rank;
        if (rank >= 0 && seen[rank].state == SEEN_ALIVE) seen[rank].state = SEEN_GONE;
        drop_connection(link, i);
    }
    return ending;
}

bool rank_link_met(struct rank_link *link)
{
    const bool met = link->met;
    link->met = false;
    return met;
}

bool rank_link_receive(struct rank_link *link, struct rank_seen *seen, int wait_ms, int64_t now_ms)
{
    int n = 0;
    for (int i = 0; i < link->n; i++) /* this thread alone adds and drops connections */
        link->polled[n++] = (struct pollfd){.fd = link->connections[i].fd, .events = POLLIN};
    if (link->listener >= 0 && link->n < link->most)
        link->polled[n++] = (struct pollfd){.fd = link->listener, .events = POLLIN};
    poll(link->polled, (nfds_t)n, wait_ms);
    pthread_mutex_lock(&link->mutex);
    if (link->listener >= 0) accept_some(link);
    const bool ending = serve(link, seen, now_ms);
    if (ending && link->listener >= 0) {
        struct rank_report told = {
            .magic = RANK_LINK_MAGIC, .token = link->token, .kind = REPORT_ENDING, .inside_ms = -1};
        send_all(link, &told);
    }
    pthread_mutex_unlock(&link->mutex);
    return ending;
}
