/* A teacher over HTTP beside a server of ours that answers it. What goes wrong while it is set up
 * fails the test. */
#ifndef ROBIN_TESTS_TEACHER_FIXTURE_H
#define ROBIN_TESTS_TEACHER_FIXTURE_H

#include <stdbool.h>
#include <stdint.h>

#include "comm/comm.h"
#include "comm/shared_counters.h"
#include "config/run_config.h"
#include "corpus/shard.h"
#include "sgedit/chat_teacher.h"
#include "support/teacher_server.h"

#define TEACHER_FIXTURE_RECORDS 20 /* of its corpus */

/* What tests with such teachers share: ranks, a folder (a template of mkdtemp), and drawn scenes in
 * it, which the server's options and the fixture read. False, and a sentence, where it fails. */
bool teacher_fixture_open(struct comm **comm_out, char *directory, char **corpus_folder_out);
bool teacher_fixture_close(struct comm *comm, const char *directory, char *corpus_folder);

struct teacher_fixture {
    struct teacher_server *server;
    struct shared_counters *counters;
    struct teacher_limits limits;
    struct run_config config;
    struct chat_counts counts;
    struct teacher teacher;
    struct corpus *corpus;
};

struct teacher_overrides {
    const char *key_env;
    const char *host;          /* in the URL; NULL: 127.0.0.1 */
    const char *const *values; /* [n] "teacher.tries=3" */
    int n;
};

/* What creating the teacher came to. */
enum status teacher_fixture_begin(struct teacher_fixture *fixture, struct comm *comm,
                                  const struct teacher_server_options *options,
                                  const struct teacher_overrides *overrides);
void teacher_fixture_end(struct teacher_fixture *fixture);

/* Asks about record `item`, ticket the same. */
void teacher_fixture_ask(struct teacher_fixture *fixture, int64_t item);
/* The next reply, or how the run ends; within 20 s. */
enum status teacher_fixture_reply(struct teacher_fixture *fixture, struct teacher_reply *reply);

#endif
