/* Who edits graphs and judges statements: over HTTP, from annotations, or ROBIN itself. Calls are
 * begun and come back later, in any order. */
#ifndef ROBIN_SGEDIT_TEACHER_H
#define ROBIN_SGEDIT_TEACHER_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"
#include "corpus/record.h"
#include "sgedit/edit_graph.h"
#include "sgedit/journal.h"

enum teacher_task { TEACHER_EDIT, TEACHER_JUDGE, TEACHER_COMPLETE };

#define TEACHER_MAX_IMAGES 5
struct teacher_image { /* a JPEG or PNG */
    const uint8_t *bytes;
    size_t size;
};

/* One question. What it is about is there twice: in words and pictures for who reads those, and as
 * data for a teacher inside this program. Everything is borrowed for the call of `ask` alone. */
struct teacher_request {
    enum teacher_task task;
    int64_t item;
    int attempt; /* 0; higher after replies that could not be used: another call */
    const char *system, *user;
    struct teacher_image images[TEACHER_MAX_IMAGES];
    int n_images;
    const char *schema_name;
    const json_t *schema;
    const struct record *record;
    const struct edit_graph *graph;
    const int64_t *relations; /* [n_relations] of the graph that are to be judged */
    int64_t n_relations;
};

enum teacher_outcome {
    TEACHER_ANSWERED, /* `content` is the answer */
    TEACHER_UNUSABLE, /* what came is no answer: cut short, no JSON; asking again may help */
    TEACHER_REFUSED,  /* the teacher will not answer this: asking again does not help */
    TEACHER_FAILED    /* no answer to this one, though others were answered */
};

struct teacher_reply { /* zeroed is releasable */
    int64_t ticket;
    enum teacher_outcome outcome;
    char *raw; /* as it came, the key taken out of it */
    size_t raw_size;
    char *content; /* of TEACHER_ANSWERED */
    char *why;     /* otherwise */
    int64_t tokens_in, tokens_out, cost_nano;
};
void teacher_reply_release(struct teacher_reply *reply);

struct teacher_call { /* a request made ready: what is sent and what it is known by */
    unsigned char key[JOURNAL_KEY_BYTES];
    char *body;
    size_t size;
    int64_t ticket;
    int64_t local;                 /* of the model's verifier: its own number of the call */
    int64_t tokens_in, tokens_out; /* that it is taken to cost at most */
};
void teacher_call_release(struct teacher_call *call);

struct teacher {      /* zeroed is none */
    const char *name; /* for provenance: the model */
    bool paid;        /* calls are journalled before they are made */
    void *context;
    /* The body and key of a request: a pure function of it and of the configuration. */
    enum status (*prepare)(void *context, struct teacher_call *call_out,
                           const struct teacher_request *request);
    /* Takes the call over. The ticket comes back with the reply. */
    enum status (*ask)(void *context, struct teacher_call *call);
    /* A reply if one is there, waiting `wait_ms` at most. A failure ends the run. */
    enum status (*collect)(void *context, int wait_ms, struct teacher_reply *reply_out, bool *got);
    void (*release)(void *context);
};

/* Everything but ticket and raw, from the raw bytes of a chat completion: the same for a reply that
 * just came and for one out of the journal. */
void teacher_reply_read(struct teacher_reply *reply, const char *raw, size_t size);

/* A chat completion with that content, as the teachers inside this program answer; to free(). */
char *teacher_reply_write(const char *content, const char *model);

#endif
