/* A small ROBIN with the vocabulary of the scenes, and scenes to ask it about. Its
 * weights are drawn, so it answers nonsense of every kind. */
#ifndef ROBIN_TESTS_ENGINE_CASE_H
#define ROBIN_TESTS_ENGINE_CASE_H

#include "corpus/record.h"
#include "generate/ask.h"

#define ENGINE_CASE_SCENES 4

struct engine_case {
    struct tokenizer *tokenizer;
    struct device *device;
    struct stream *stream;
    struct model *model;
    struct record scenes[ENGINE_CASE_SCENES];
    struct rle *masks[ENGINE_CASE_SCENES];
    struct box *boxes[ENGINE_CASE_SCENES];
};
/* Asserts that everything could be made. Found from the repository's root. */
void engine_case_init(struct engine_case *made);
/* The same with that table of kernels, on its device. */
void engine_case_init_on(struct engine_case *made, const char *table);
void engine_case_release(struct engine_case *made);

/* What is asked about scene i: its picture, and its regions unless `whole`. */
struct ask engine_case_ask(const struct engine_case *made, int64_t scene, bool whole);

/* Submits n asks, in order, as there is room, and collects their results by tag: tags are 0 .. n-1.
 * Asserts success. */
void engine_case_run(struct engine *engine, const struct tokenizer *tokenizer,
                     const struct ask *asks, const struct ask_options *options, int64_t n,
                     struct engine_result *results);

/* Asserts OK, printing the sentence. */
void engine_case_ok(enum status status);

#endif
