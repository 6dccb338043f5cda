/* The batch interface of the test's teacher: files, batches, results that come in any order. */
#ifndef ROBIN_TESTS_TEACHER_BATCHES_H
#define ROBIN_TESTS_TEACHER_BATCHES_H

#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/text_buffer.h"

struct teacher_server;

struct batch_file {
    char *id, *text;
};
struct batch_state {
    char *id, *output, *errors; /* ids of files */
    const char *status;
    bool failed; /* as a whole, for want of money */
    char *input;
    int polls;
};

struct teacher_batches { /* zeroed is releasable */
    pthread_mutex_t mutex;
    bool expire_first; /* half of the first batch is done when its day is over */
    bool fail_first;   /* it is not taken */
    struct batch_file *files;
    int64_t n_files;
    struct batch_state *batches;
    int64_t n_batches;
};
void teacher_batches_init(struct teacher_batches *batches, bool expire_first, bool fail_first);
void teacher_batches_release(struct teacher_batches *batches);

/* The body of the response, to free(). */
char *teacher_batches_answer(struct teacher_batches *batches, struct teacher_server *server,
                             const char *url, const char *method, const struct text_buffer *body,
                             unsigned *code_out);

/* Of the server. */
char *teacher_server_complete(struct teacher_server *server, const char *key, const json_t *body,
                              unsigned *code_out);
void teacher_server_pay(struct teacher_server *server, const char *key);

#endif
