/* A state saved on each of eight layouts has one logical content, and each of the eight takes up
 * each of the others' to the last bit: all ranks of all layouts in one process, with whole, split,
 * repeated, padded, sharded and frozen parameters. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/content_hash.h"
#include "base/file.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_commit.h"
#include "checkpoint/manifest.h"
#include "device/stream.h"
#include "model/lm_slice.h"
#include "support/tiny_robin.h"
#include "train/state_pieces.h"

#define MAX_RANKS 8

/* 8 = dp x tp ranks at most; key/value heads repeat on tp 4. */
static const int layouts[][2] = {{1, 1}, {2, 1}, {3, 1}, {8, 1}, {1, 2}, {4, 2}, {1, 4}, {2, 4}};
#define N_LAYOUTS ((int)(sizeof layouts / sizeof layouts[0]))

struct rank {
    struct mesh mesh;
    struct model_share share;
    struct model *model;
    struct bucket_list buckets;
    struct optimizer *optimizer;
    struct train_parts parts;
};

static struct stream stream; /* the caller's thread alone */
static char *root;

/* ---- a rank ---- */

static void rank_create(struct rank *rank, const int layout[2], int index, const bool *trainable)
{
    struct model_options options = tiny_options();
    struct model_config config = tiny_config();
    const struct optimizer_options adamw = {.ema_decay = 0.9};
    config.lm.vocab = 307; /* words and channels that no tp divides */
    config.lm.hidden = 64;
    config.lm.ffn = 90;
    config.lm.tied = false;
    memcpy(options.trainable, trainable, sizeof options.trainable);
    *rank = (struct rank){.mesh = {.tp_size = layout[1],
                                   .tp_rank = index % layout[1],
                                   .dp_size = layout[0],
                                   .dp_rank = index / layout[1]}};
    rank->share = (struct model_share){.index = rank->mesh.tp_rank, .size = layout[1]};
    if (layout[1] > 1) options.share = &rank->share;
    assert_int_equal(model_create(&rank->model, &config, &options, &kernels_cpu, &stream), OK);
    const struct bucket_options buckets = {.dp_rank = rank->mesh.dp_rank,
                                           .dp_size = layout[0],
                                           .tp_rank = rank->mesh.tp_rank,
                                           .tp_size = layout[1],
                                           .elements = 20000};
    buckets_make(&rank->buckets, model_parameters(rank->model), &buckets);
    assert_int_equal(optimizer_create(&rank->optimizer, model_parameters(rank->model),
                                      &rank->buckets, &adamw, &kernels_cpu, &stream),
                     OK);
    rank->parts = (struct train_parts){
        .mesh = &rank->mesh, .optimizer = rank->optimizer, .model = rank->model};
}

static void rank_destroy(struct rank *rank)
{
    optimizer_destroy(rank->optimizer);
    buckets_release(&rank->buckets);
    model_destroy(rank->model);
}

/* Every element of every part its own, by name and place in the whole tensor; `held` is what of it
 * lies at held elements first .. end - 1. */
static void fill(float *held, const struct parameter *parameter, int part, int64_t first,
                 int64_t end)
{
    struct parameter_piece pieces[PARAMETER_MAX_PIECES];
    const int n = parameter_range(pieces, parameter, first, end);
    const struct random_stream numbers = random_stream((uint64_t)part, parameter->name);
    memset(held, 0, (size_t)(end - first) * sizeof *held);
    for (int i = 0; i < n; i++)
        for (int64_t run = 0; run < pieces[i].runs.n; run++)
            random_fill(held + pieces[i].held - first + run * pieces[i].runs.held_step,
                        (uint64_t)pieces[i].runs.length,
                        (uint64_t)(pieces[i].runs.start + run * pieces[i].runs.step), numbers, 1,
                        0.5);
}

/* Calls `each` for all that the rank holds. */
static void walk(const struct rank *rank,
                 void (*each)(float *held, const struct parameter *parameter, int part,
                              int64_t first, int64_t end))
{
    const struct parameter_table *table = model_parameters(rank->model);
    const struct optimizer_span *spans = NULL;
    const int64_t n = optimizer_spans(rank->optimizer, &spans);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        each(model_weights(rank->model) + parameter->offset, parameter, CHECKPOINT_WEIGHT, 0,
             parameter->n_elements);
    }
    for (int part = CHECKPOINT_FIRST_MOMENT; part < CHECKPOINT_PARTS; part++)
        for (int64_t i = 0; i < n; i++) {
            float *values = optimizer_values(rank->optimizer, state_of_part[part]);
            const int64_t first = spans[i].gradient - spans[i].parameter->gradient_offset;
            each(values + spans[i].state, spans[i].parameter, part, first, first + spans[i].n);
        }
}

static void forget(float *held, const struct parameter *parameter, int part, int64_t first,
                   int64_t end)
{
    struct parameter_piece pieces[PARAMETER_MAX_PIECES];
    const int n = parameter_range(pieces, parameter, first, end);
    (void)part;
    for (int i = 0; i < n; i++)
        for (int64_t run = 0; run < pieces[i].runs.n; run++)
            memset(held + pieces[i].held - first + run * pieces[i].runs.held_step, 0xff,
                   (size_t)pieces[i].runs.length * sizeof *held);
}

static void expect(float *held, const struct parameter *parameter, int part, int64_t first,
                   int64_t end)
{
    float *wanted = memory_new((size_t)(end - first), sizeof *wanted);
    fill(wanted, parameter, part, first, end);
    assert_memory_equal(held, wanted, (size_t)(end - first) * sizeof *wanted);
    free(wanted);
}

/* ---- saving ---- */

static char *save_rank(const struct rank *rank, const char *folder, int index, bool *empty_out)
{
    struct state_tensors tensors = {0};
    struct state_sources sources = {0};
    char *fragment = NULL;
    assert_int_equal(state_tensors_list(&tensors, &rank->parts), OK);
    state_sources_make(&sources, &rank->parts, &tensors);
    struct checkpoint_shard *shard = checkpoint_shard_create(sources.sources, sources.n, 0);
    const struct shard_writing writing = {
        .layer = &file_layer_system, .folder = folder, .rank = index};
    assert_int_equal(checkpoint_shard_write(shard, &writing, &fragment), OK);
    *empty_out = sources.n == 0;
    checkpoint_shard_destroy(shard);
    state_sources_release(&sources);
    state_tensors_release(&tensors);
    return fragment;
}

/* Refused by checkpoint_publish unless all of it is there exactly once. */
static void save_layout(const int layout[2], int64_t step, const bool *trainable)
{
    const struct checkpoint_place place = {&file_layer_system, root};
    const int n = layout[0] * layout[1];
    char *fragments[MAX_RANKS], *name = NULL;
    struct rank rank;
    struct state_tensors tensors = {0};
    struct text_buffer manifest = {0};
    json_t *about = json_object();
    assert_int_equal(checkpoint_begin(&place, step, &name), OK);
    char *aside = checkpoint_aside(&place, name);
    for (int index = 0; index < n; index++) {
        bool empty = false;
        rank_create(&rank, layout, index, trainable);
        walk(&rank, fill);
        fragments[index] = save_rank(&rank, aside, index, &empty);
        assert_false(empty); /* the work is shared */
        if (index == n - 1) assert_int_equal(state_tensors_list(&tensors, &rank.parts), OK);
        if (index < n - 1) rank_destroy(&rank);
    }
    const struct manifest_header header = {.progress = {.step = step},
                                           .tensors = tensors.tensors,
                                           .n_tensors = tensors.n,
                                           .about = about};
    assert_int_equal(manifest_write(&manifest, &header, fragments, n), OK);
    const enum status status = checkpoint_publish(&place, name, manifest.text, manifest.length);
    if (status != OK) fail_msg("%d x %d: %s", layout[0], layout[1], status_message());
    for (int index = 0; index < n; index++) free(fragments[index]);
    rank_destroy(&rank);
    state_tensors_release(&tensors);
    text_release(&manifest);
    json_decref(about);
    free(aside);
    free(name);
}

/* ---- loading ---- */

static struct run_checkpoint *open_step(int64_t step)
{
    struct run_checkpoint *checkpoint = NULL;
    char *path = text_format("%s/step-%09lld", root, (long long)step);
    assert_int_equal(run_checkpoint_open(&checkpoint, path), OK);
    free(path);
    return checkpoint;
}

static void load_rank(const struct rank *rank, const struct run_checkpoint *checkpoint)
{
    struct state_requests requests = {0};
    const struct parameter_table *table = model_parameters(rank->model);
    const struct optimizer_span *spans = NULL;
    const int64_t n = optimizer_spans(rank->optimizer, &spans);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const char *name = table->parameters[i].name;
        state_request_weight(&requests, &rank->parts, &table->parameters[i],
                             run_checkpoint_find(checkpoint, CHECKPOINT_WEIGHT, name));
    }
    for (int part = CHECKPOINT_FIRST_MOMENT; part < CHECKPOINT_PARTS; part++)
        for (int64_t i = 0; i < n; i++)
            state_request_values(&requests, &rank->parts, &spans[i], state_of_part[part],
                                 run_checkpoint_find(checkpoint, (enum checkpoint_part)part,
                                                     spans[i].parameter->name));
    assert_int_equal(run_checkpoint_load(checkpoint, requests.requests, requests.n), OK);
    state_requests_release(&requests);
}

static void load_on(const int layout[2], const bool *trainable)
{
    for (int index = 0; index < layout[0] * layout[1]; index++) {
        struct rank rank;
        rank_create(&rank, layout, index, trainable);
        walk(&rank, fill);
        for (int64_t step = 0; step < N_LAYOUTS; step++) {
            struct run_checkpoint *checkpoint = open_step(step);
            walk(&rank, forget);
            load_rank(&rank, checkpoint);
            walk(&rank, expect);
            run_checkpoint_close(checkpoint);
        }
        rank_destroy(&rank);
    }
}

/* Of names, shapes and all elements in their order. */
static struct content_hash content_of(const struct run_checkpoint *checkpoint)
{
    struct text_buffer text = {0};
    for (int64_t i = 0; i < run_checkpoint_size(checkpoint); i++) {
        const struct checkpoint_tensor *tensor = run_checkpoint_tensor(checkpoint, i);
        const size_t n = (size_t)checkpoint_tensor_size(tensor);
        float *values = memory_new(n, sizeof *values);
        assert_int_equal(run_checkpoint_read(checkpoint, i, values), OK);
        const struct content_hash hash = content_hash(values, n * sizeof *values);
        text_printf(&text, "%d %s %lld ", (int)tensor->part, tensor->name,
                    (long long)tensor->dims[0]);
        text_append_bytes(&text, &hash, sizeof hash);
        free(values);
    }
    const struct content_hash all = content_hash(text_of(&text), text.length);
    text_release(&text);
    return all;
}

static void try_all(const bool *trainable)
{
    char pattern[] = "/tmp/robin-reshard-XXXXXX", memory[] = "/dev/shm/robin-reshard-XXXXXX";
    struct content_hash first = {{0}};
    const char *made = mkdtemp(memory);
    if (made == NULL) made = mkdtemp(pattern);
    root = text_copy(made);
    for (int l = 0; l < N_LAYOUTS; l++) {
        save_layout(layouts[l], l, trainable);
        struct run_checkpoint *checkpoint = open_step(l);
        const struct content_hash hash = content_of(checkpoint);
        if (l == 0) first = hash;
        assert_int_equal(content_hash_compare(&hash, &first), 0);
        run_checkpoint_close(checkpoint);
    }
    for (int l = 0; l < N_LAYOUTS; l++) load_on(layouts[l], trainable);
    assert_int_equal(directory_remove(root), OK);
    free(root);
}

static void test_everything_learns(void **state)
{
    (void)state;
    try_all((const bool[N_MODULES]){true, true, true, true});
}

static void test_most_is_frozen(void **state)
{
    (void)state;
    try_all((const bool[N_MODULES]){false, true, true, false});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_everything_learns),
        cmocka_unit_test(test_most_is_frozen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
