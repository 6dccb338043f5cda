/* What an endpoint holds while it works. Internal to src/serve.
 *
 * A request's life: its body is gathered by the HTTP thread, which reads it, queues it and puts the
 * connection to sleep; the engine's thread takes it from the queue, answers, and wakes the
 * connection; the HTTP thread sends the reply and forgets it. A stream is woken when it is taken to
 * the engine, and whenever there is something to say; its connection sleeps in between. Everything
 * in struct call but what is said to be guarded is the property of the side whose turn it is. */
#ifndef ROBIN_SERVE_CHAT_SERVER_STATE_H
#define ROBIN_SERVE_CHAT_SERVER_STATE_H

#include <microhttpd.h>
#include <pthread.h>

#include "serve/chat_reply.h"
#include "serve/chat_server.h"

enum call_state { CALL_READS, CALL_WAITS, CALL_WORKS, CALL_ANSWERED, CALL_ABANDONED };

struct call {
    struct call *next; /* in the server's list: calls that wait, work, or were abandoned */
    struct chat_server *server;
    struct MHD_Connection *connection;
    int socket; /* of the connection */
    struct text_buffer body;
    size_t counted; /* of the body, in the server's sum */
    bool refused;   /* the rest of the body is passed over */
    struct chat_request request;
    struct chat_name name;
    struct chat_choice *choices; /* [request.n_choices] once it works */
    int64_t prompt_tokens;
    unsigned code; /* of the reply */
    char *reply;

    enum call_state state; /* guarded, as everything below */
    bool asleep;           /* the connection is suspended */
    bool streams;          /* its reply has begun, and grows */
    bool ended;            /* no events come behind those below */
    struct text_buffer events;
    size_t sent; /* of them */
};

struct chat_server {
    struct chat_server_options options;
    struct engine *engine;
    const struct tokenizer *tokenizer;
    struct MHD_Daemon *daemon;
    int64_t port;
    int64_t created;
    pthread_mutex_t lock;
    pthread_cond_t arrived;
    struct call *first; /* guarded, as everything below */
    int64_t n_calls;
    int64_t n_unsent;           /* replies that connections have not taken yet */
    int64_t n_answered, n_gone; /* calls; those whose clients went away first */
    size_t body_bytes;
    uint64_t next_number;
    bool stopping;
};

/* chat_server.c */
void call_destroy(struct call *call);
void call_set_error(struct call *call, unsigned code, const char *sentence, const char *parameter,
                    const char *word);
/* Lock held. Its connection goes on, if it sleeps. */
void call_wake(struct call *call);

#endif
