/* A teacher of our own behind HTTP on this machine: answers as annotations_teacher.h does, for
 * pictures that a corpus holds, errs in every way that a service can, and counts what it would be
 * paid for. */
#ifndef ROBIN_TESTS_TEACHER_SERVER_H
#define ROBIN_TESTS_TEACHER_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct teacher_server;

/* Shares of calls, 0 .. 1. The first group is drawn for each try of a call anew, the second once
 * for a call, so that what a run makes of it does not depend on how often it was stopped. */
struct teacher_server_faults {
    double rate_limit, error_500, overload_503, timeout, half_body, reset, drip, huge;
    double quota; /* 429 insufficient_quota */
    double broken_json, wrong_schema, refusal, wrong_ids;
};

struct teacher_server_options {
    const char *corpus; /* directory */
    const char *key;    /* that requests must bear; NULL: any */
    const char *log;    /* a line "KEY" for each paid call is appended; NULL: none */
    double noise;
    uint64_t seed;
    int delay_ms; /* before each answer */
    int slow_ms;  /* how long a timeout or drip takes */
    int port;     /* 0: a free one */
    bool expire_first_batch, fail_first_batch;
    int64_t quota_after; /* paid calls, after which the account is spent; 0: it never is */
    const char *certificate, *certificate_key; /* files: HTTPS; NULL: HTTP */
    struct teacher_server_faults faults;
};

enum status teacher_server_start(struct teacher_server **server_out,
                                 const struct teacher_server_options *options);
void teacher_server_stop(struct teacher_server *server);
/* Ends quota_after. */
void teacher_server_fill_account(struct teacher_server *server);
int teacher_server_port(const struct teacher_server *server);
/* Paid calls, and different ones among them. */
int64_t teacher_server_paid(struct teacher_server *server, int64_t *n_different_out);
int64_t teacher_server_requests(struct teacher_server *server);

#endif
