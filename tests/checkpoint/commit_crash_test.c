/* A crash at any operation of saving, with any of what was not yet brought to disk lost: what was
 * committed is found again, whole and with the right content, nothing damaged is seen under a
 * checkpoint's name, and the next run can save. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/log.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_names.h"
#include "support/crash_disk.h"
#include "support/saved_state.h"

#define N_SAVES     3
#define MAX_UNSURE  128
#define ALL_SUBSETS 6 /* with so many unsure effects all subsets are tried, with more a sample */
#define SAMPLE      40
#define GO_ON       8 /* after each so manyth state a run goes on */

struct trial {
    struct crash_disk *disk;
    char *root, *state;         /* what happened, what is left of it */
    int64_t committed[N_SAVES]; /* operations after which step s + 1 was there for good */
    int64_t n_states, n_bad;
    char *first_bad;
};

static void trial_begin(struct trial *trial)
{
    char pattern[] = "/tmp/robin-crash-XXXXXX", memory[] = "/dev/shm/robin-crash-XXXXXX";
    char *root = mkdtemp(memory);
    if (root == NULL) root = mkdtemp(pattern);
    assert_non_null(root);
    log_set_level(LOG_ERROR);
    *trial = (struct trial){.root = text_copy(root), .state = text_format("%s-state", root)};
    trial->disk = crash_disk_create(root);
}

static void trial_end(struct trial *trial)
{
    char *inodes = text_format("%s.inodes", trial->state);
    assert_int_equal(directory_remove(trial->root), OK);
    assert_int_equal(directory_remove(trial->state), OK);
    assert_int_equal(directory_remove(inodes), OK);
    crash_disk_destroy(trial->disk);
    free(inodes);
    free(trial->first_bad);
    free(trial->root);
    free(trial->state);
}

/* Saves of two ranks, each of which removes the one before. */
static void record_saves(struct trial *trial)
{
    char *directory = path_join(trial->root, "run/checkpoints");
    const struct saved_run run = {.layer = crash_disk_layer(trial->disk),
                                  .directory = directory,
                                  .n_ranks = 2,
                                  .keep = {.last = 1},
                                  .file_bytes = 1500};
    for (int64_t s = 0; s < N_SAVES; s++) {
        assert_int_equal(saved_state_save(&run, s + 1), OK);
        trial->committed[s] = crash_disk_operations(trial->disk);
    }
    free(directory);
}

static void bad(struct trial *trial, int64_t n, const unsigned char *keep, const char *what)
{
    if (trial->n_bad++ > 0) return;
    struct text_buffer text = {0};
    const int64_t unsure = crash_disk_unsure(trial->disk, n);
    text_printf(&text, "%s after operation %lld (%s), kept:", what, (long long)n,
                n > 0 ? crash_disk_describe(trial->disk, n - 1) : "none");
    for (int64_t i = 0; i < unsure; i++) text_printf(&text, " %d", keep[i]);
    trial->first_bad = text_take(&text);
}

/* The newest, or NULL: and all others are whole as well. */
static const char *look(struct run_checkpoint **newest_out, const char *directory)
{
    struct checkpoint_name *names = NULL;
    size_t n = 0;
    const char *wrong = NULL;
    *newest_out = NULL;
    if (checkpoint_names_list(&names, &n, directory) != OK) wrong = "no list";
    for (size_t i = 0; i < n && wrong == NULL; i++) {
        struct run_checkpoint *checkpoint = NULL;
        char *path = path_join(directory, names[i].name);
        if (run_checkpoint_open(&checkpoint, path) != OK)
            wrong = "a checkpoint that cannot be opened";
        else if (!saved_state_is(checkpoint, names[i].step))
            wrong = "a checkpoint of another content";
        if (i == 0 && wrong == NULL)
            *newest_out = checkpoint;
        else
            run_checkpoint_close(checkpoint);
        free(path);
    }
    checkpoint_names_free(names, n);
    return wrong;
}

/* The next run goes on from here. */
static const char *save_again(const char *directory)
{
    struct run_checkpoint *newest = NULL;
    const struct saved_run run = {.directory = directory, .n_ranks = 1, .keep = {.last = 1}};
    if (saved_state_save(&run, N_SAVES + 1) != OK) return "the next run cannot save";
    const char *wrong = look(&newest, directory);
    if (wrong == NULL && run_checkpoint_progress(newest)->step != N_SAVES + 1)
        wrong = "what the next run saves is not the newest";
    run_checkpoint_close(newest);
    return wrong;
}

static void try_state(struct trial *trial, int64_t n, const unsigned char *keep)
{
    struct run_checkpoint *newest = NULL;
    char *directory = path_join(trial->state, "run/checkpoints");
    int64_t least = 0;
    crash_disk_build(trial->disk, n, keep, trial->state);
    for (int64_t s = 0; s < N_SAVES; s++)
        if (trial->committed[s] <= n) least = s + 1;
    const char *wrong = look(&newest, directory);
    const int64_t found = newest == NULL ? 0 : run_checkpoint_progress(newest)->step;
    if (wrong == NULL && found < least) wrong = "a committed checkpoint is gone";
    run_checkpoint_close(newest);
    if (wrong == NULL && trial->n_states % GO_ON == 0) wrong = save_again(directory);
    if (wrong != NULL) bad(trial, n, keep, wrong);
    trial->n_states++;
    free(directory);
}

/* All subsets of few effects; of many: all, none, all but one, only one, halves, and a sample. */
static void try_prefix(struct trial *trial, int64_t n)
{
    unsigned char keep[MAX_UNSURE];
    const int64_t unsure = crash_disk_unsure(trial->disk, n);
    assert_true(unsure <= MAX_UNSURE);
    if (unsure <= ALL_SUBSETS) {
        for (int64_t subset = 0; subset < INT64_C(1) << unsure; subset++) {
            for (int64_t i = 0; i < unsure; i++) keep[i] = subset >> i & 1;
            try_state(trial, n, keep);
        }
    }
    for (int64_t one = 0; one < unsure; one++)
        for (int way = 0; way < 4; way++) { /* lost, kept, half of it with and without the rest */
            memset(keep, way % 2 == 0 ? CRASH_KEPT : CRASH_LOST, sizeof keep);
            keep[one] = (unsigned char)(way == 0 ? CRASH_LOST : way == 1 ? CRASH_KEPT : CRASH_HALF);
            try_state(trial, n, keep);
        }
    const struct random_stream stream = random_stream(17, "crash");
    for (int64_t s = 0; s < SAMPLE && unsure > ALL_SUBSETS; s++) {
        for (int64_t i = 0; i < unsure; i++)
            keep[i] =
                (unsigned char)(random_u64(stream, (uint64_t)((n * SAMPLE + s) * MAX_UNSURE + i)) %
                                3);
        try_state(trial, n, keep);
    }
}

static void try_all(struct trial *trial)
{
    const int64_t n_operations = crash_disk_operations(trial->disk);
    for (int64_t n = 0; n <= n_operations && trial->n_bad == 0; n++) try_prefix(trial, n);
}

static void test_every_crash(void **state)
{
    (void)state;
    struct trial trial;
    trial_begin(&trial);
    record_saves(&trial);
    try_all(&trial);
    print_message("%lld operations, %lld states\n", (long long)crash_disk_operations(trial.disk),
                  (long long)trial.n_states);
    if (trial.n_bad > 0) print_message("%s\n", trial.first_bad);
    assert_int_equal(trial.n_bad, 0);
    assert_true(trial.n_states > 500);
    trial_end(&trial);
}

/* The same with one kind of fsync left out must go wrong: or nothing would have been tested. */
static void test_without_syncs_it_goes_wrong(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        struct trial trial;
        trial_begin(&trial);
        crash_disk_ignore(trial.disk, kind == 0, kind == 1);
        record_saves(&trial);
        try_all(&trial);
        assert_true(trial.n_bad > 0);
        trial_end(&trial);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_crash),
        cmocka_unit_test(test_without_syncs_it_goes_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
