/* The endpoint itself: HTTP on one thread of libmicrohttpd, the engine on the caller's. */
#ifndef ROBIN_SERVE_CHAT_SERVER_H
#define ROBIN_SERVE_CHAT_SERVER_H

#include <stdint.h>

#include "base/status.h"
#include "generate/engine.h"
#include "serve/chat_request.h"

struct chat_server; /* opaque */

struct chat_server_options {
    const char *host;   /* a numeric address; "127.0.0.1" unless somebody asked otherwise */
    int64_t port;       /* 0: any that is free */
    const char *model;  /* its name in replies */
    int64_t body_bytes; /* of a request, at most; all bodies together take 16 times that */
    int64_t queue;      /* requests that wait or are in work; more are told to come again (429) */
    int64_t connections;
    int64_t idle_seconds; /* a connection that says nothing is closed */
    struct chat_limits limits;
};

/* Engine and tokenizer are borrowed, and nobody else's meanwhile. ERR_IO with the address where it
 * cannot be listened on. */
enum status chat_server_open(struct chat_server **server_out, struct engine *engine,
                             const struct tokenizer *tokenizer,
                             const struct chat_server_options *options);
void chat_server_close(struct chat_server *server);
/* The port that is listened on. */
int64_t chat_server_port(const struct chat_server *server);

/* One turn: takes requests to the engine, runs one pass of it, sends what has finished; waits up to
 * 0.1 s for a request where there is none. */
enum status chat_server_work(struct chat_server *server);
/* No more requests are taken (503); those that came are answered. */
void chat_server_stop(struct chat_server *server);
/* Nothing waits, nothing is in work, every reply has been sent. */
bool chat_server_is_idle(struct chat_server *server);

#endif
