#include "jobs/checkpoint_state_commands.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/content_hash.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_commit.h"
#include "checkpoint/checkpoint_names.h"
#include "checkpoint/run_checkpoint.h"
#include "jobs/options.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* ---- inspect ---- */

/* One whole tensor, to free(). */
static enum status read_whole(float **data_out, const struct run_checkpoint *checkpoint,
                              int64_t index)
{
    enum status status = OK;
    const int64_t n = checkpoint_tensor_size(run_checkpoint_tensor(checkpoint, index));
    float *data = malloc((size_t)n * sizeof *data);
    if (data == NULL)
        FAIL(ERR_MEMORY, "no memory for %s of %s", run_checkpoint_tensor(checkpoint, index)->name,
             run_checkpoint_path(checkpoint));
    TRY(run_checkpoint_read(checkpoint, index, data));
    *data_out = data;
    data = NULL;
out:
    free(data);
    return status;
}

static void put_dims(struct text_buffer *line, const struct checkpoint_tensor *tensor)
{
    text_append(line, "[");
    for (int d = 0; d < tensor->n_dims; d++)
        text_printf(line, "%s%" PRId64, d > 0 ? "," : "", tensor->dims[d]);
    text_append(line, "]");
}

/* "weight lm.x [2,3] 1a2b3c4d", the last the CRC-32C of the elements in their order. */
static enum status put_tensor(struct text_buffer *line, const struct run_checkpoint *checkpoint,
                              int64_t index, bool checksum)
{
    enum status status = OK;
    float *data = NULL;
    const struct checkpoint_tensor *tensor = run_checkpoint_tensor(checkpoint, index);
    const size_t bytes = (size_t)checkpoint_tensor_size(tensor) * sizeof *data;
    text_printf(line, "%s %s ", checkpoint_part_names[tensor->part], tensor->name);
    put_dims(line, tensor);
    if (checksum) {
        TRY(read_whole(&data, checkpoint, index));
        text_printf(line, " %08" PRIx32, crc32c(0, data, bytes));
    }
    text_append(line, "\n");
out:
    free(data);
    return status;
}

/* With checksums the last line is a hash of all lines: of the content, whatever lies where. */
static enum status print_tensors(const struct run_checkpoint *checkpoint, bool checksums)
{
    enum status status = OK;
    struct text_buffer lines = {0};
    for (int64_t i = 0; i < run_checkpoint_size(checkpoint); i++)
        TRY(put_tensor(&lines, checkpoint, i, checksums));
    fputs(text_of(&lines), stdout);
    const struct content_hash hash = content_hash(text_of(&lines), lines.length);
    if (checksums) printf("content %016" PRIx64 "%016" PRIx64 "\n", hash.words[0], hash.words[1]);
out:
    text_release(&lines);
    return status;
}

static int64_t count_elements(const struct run_checkpoint *checkpoint, enum checkpoint_part part,
                              int64_t *n_tensors)
{
    int64_t elements = 0;
    *n_tensors = 0;
    for (int64_t i = 0; i < run_checkpoint_size(checkpoint); i++) {
        const struct checkpoint_tensor *tensor = run_checkpoint_tensor(checkpoint, i);
        if (tensor->part != part) continue;
        elements += checkpoint_tensor_size(tensor);
        ++*n_tensors;
    }
    return elements;
}

static void print_summary(const struct run_checkpoint *checkpoint)
{
    const struct run_progress *progress = run_checkpoint_progress(checkpoint);
    const json_t *about = run_checkpoint_about(checkpoint);
    uint64_t bytes = 0;
    const int64_t n_files = run_checkpoint_files(checkpoint, &bytes);
    int64_t n_tensors = 0, n_weights = 0;
    printf("%s\n", run_checkpoint_path(checkpoint));
    printf("step %" PRId64 " (%" PRId64 " skipped), %" PRId64 " samples, order %016" PRIx64 "\n",
           progress->step, progress->skipped_steps, progress->samples, progress->order_hash);
    const char *program = json_string_value(json_object_get(about, "program"));
    if (program != NULL)
        printf("written by %s on %" PRId64 " ranks (dp %" PRId64 ", tp %" PRId64 "), seed %" PRId64
               "\n",
               program, (int64_t)json_integer_value(json_object_get(about, "ranks")),
               (int64_t)json_integer_value(json_object_get(about, "dp")),
               (int64_t)json_integer_value(json_object_get(about, "tp")),
               (int64_t)json_integer_value(json_object_get(about, "seed")));
    for (int part = 0; part < CHECKPOINT_PARTS; part++) {
        const int64_t elements = count_elements(checkpoint, (enum checkpoint_part)part, &n_tensors);
        if (part == CHECKPOINT_WEIGHT) n_weights = elements;
        if (n_tensors > 0)
            printf("%-14s %5" PRId64 " tensors %12" PRId64 " elements\n",
                   checkpoint_part_names[part], n_tensors, elements);
    }
    printf("%" PRId64 " data files, %.1f MB, %.2f bytes per parameter\n", n_files,
           (double)bytes / 1e6, n_weights > 0 ? (double)bytes / (double)n_weights : 0.0);
}

enum status checkpoint_inspect_command(struct command_call *call)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = NULL;
    const char *path = NULL;
    bool tensors = false, checksums = false, config = false, helped = false;
    const struct option_row rows[] = {
        {"PATH", NULL, OPTION_TEXT, true, 0, 0, &path,
         "a checkpoint, or the newest whole one of a folder of them or a run directory"},
        {"--tensors", NULL, OPTION_FLAG, false, 0, 0, &tensors, "list the tensors instead"},
        {"--checksums", NULL, OPTION_FLAG, false, 0, 0, &checksums,
         "list them with the CRC-32C of each one's elements, and a hash of all"},
        {"--config", NULL, OPTION_FLAG, false, 0, 0, &config,
         "print the configuration of the run that wrote it instead"},
    };
    TRY(options_read(rows, COUNT(rows), "checkpoint inspect", call, &helped));
    if (helped) goto out;
    TRY(run_checkpoint_open_path(&checkpoint, path));
    const char *text =
        json_string_value(json_object_get(run_checkpoint_about(checkpoint), "config"));
    if (config && text == NULL)
        FAIL(ERR_FORMAT, "%s holds no configuration", run_checkpoint_path(checkpoint));
    if (config)
        fputs(text, stdout);
    else if (tensors || checksums)
        TRY(print_tensors(checkpoint, checksums));
    else
        print_summary(checkpoint);
out:
    run_checkpoint_close(checkpoint);
    return status;
}

/* ---- verify ---- */

static enum status verify_one(const char *path)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = NULL;
    TRY(run_checkpoint_open(&checkpoint, path));
    TRY(run_checkpoint_verify(checkpoint));
    printf("%s: whole; step %" PRId64 ", %" PRId64 " tensors\n", path,
           run_checkpoint_progress(checkpoint)->step, run_checkpoint_size(checkpoint));
out:
    run_checkpoint_close(checkpoint);
    return status;
}

enum status checkpoint_verify_command(struct command_call *call)
{
    enum status status = OK;
    const char *path = NULL;
    char **paths = NULL;
    size_t n = 0, n_damaged = 0;
    bool helped = false;
    const struct option_row rows[] = {
        {"PATH", NULL, OPTION_TEXT, true, 0, 0, &path,
         "a checkpoint, or a folder of them or a run directory: all in it"},
    };
    TRY(options_read(rows, COUNT(rows), "checkpoint verify", call, &helped));
    if (helped) goto out;
    TRY(checkpoint_paths_of(&paths, &n, path));
    for (size_t i = 0; i < n; i++) {
        status = verify_one(paths[i]);
        if (status == OK) continue;
        if (n == 1) goto out;
        printf("%s\n", status_message());
        n_damaged++;
    }
    status = OK;
    if (n_damaged > 0)
        FAIL(ERR_FORMAT, "%s: %zu of %zu checkpoints are damaged", path, n_damaged, n);
out:
    names_free(paths, n);
    return status;
}

/* ---- diff ---- */

struct difference {
    int64_t n; /* lines printed */
};

static void say(struct difference *difference, char *line)
{
    puts(line);
    free(line);
    difference->n++;
}

static void diff_progress(struct difference *difference, const struct run_progress *a,
                          const struct run_progress *b)
{
    if (a->step != b->step)
        say(difference, text_format("step: %" PRId64 " and %" PRId64, a->step, b->step));
    if (a->skipped_steps != b->skipped_steps)
        say(difference, text_format("skipped steps: %" PRId64 " and %" PRId64, a->skipped_steps,
                                    b->skipped_steps));
    if (a->samples != b->samples)
        say(difference, text_format("samples: %" PRId64 " and %" PRId64, a->samples, b->samples));
    if (a->order_hash != b->order_hash)
        say(difference,
            text_format("order: %016" PRIx64 " and %016" PRIx64, a->order_hash, b->order_hash));
    if (memcmp(&a->means, &b->means, sizeof a->means) != 0)
        say(difference, text_format("means of the steps: loss %.17g and %.17g, norm %.17g and "
                                    "%.17g, of %" PRId64 " and %" PRId64,
                                    a->means.loss, b->means.loss, a->means.norm, b->means.norm,
                                    a->means.n, b->means.n));
}

/* Bits are compared: two NaN of the same bits are equal, 0 and -0 are not. */
static enum status diff_tensor(struct difference *difference, const struct run_checkpoint *a,
                               int64_t i, const struct run_checkpoint *b, int64_t j)
{
    enum status status = OK;
    float *x = NULL, *y = NULL;
    const struct checkpoint_tensor *tensor = run_checkpoint_tensor(a, i);
    const struct checkpoint_tensor *other = run_checkpoint_tensor(b, j);
    const char *part = checkpoint_part_names[tensor->part];
    int64_t n_other = 0;
    double largest = 0;
    if (tensor->n_dims != other->n_dims ||
        memcmp(tensor->dims, other->dims, (size_t)tensor->n_dims * sizeof *tensor->dims) != 0) {
        say(difference, text_format("%s %s: other shapes", part, tensor->name));
        return OK;
    }
    const int64_t n = checkpoint_tensor_size(tensor);
    TRY(read_whole(&x, a, i));
    TRY(read_whole(&y, b, j));
    for (int64_t e = 0; e < n; e++) {
        if (memcmp(&x[e], &y[e], sizeof *x) == 0) continue;
        n_other++;
        largest = fmax(largest, fabs((double)x[e] - (double)y[e]));
    }
    if (n_other > 0)
        say(difference, text_format("%s %s: %" PRId64 " of %" PRId64 " elements, by up to %g", part,
                                    tensor->name, n_other, n, largest));
out:
    free(x);
    free(y);
    return status;
}

static enum status diff_tensors(struct difference *difference, const struct run_checkpoint *a,
                                const struct run_checkpoint *b)
{
    enum status status = OK;
    for (int64_t i = 0; i < run_checkpoint_size(a); i++) {
        const struct checkpoint_tensor *tensor = run_checkpoint_tensor(a, i);
        const int64_t j = run_checkpoint_find(b, tensor->part, tensor->name);
        if (j >= 0)
            TRY(diff_tensor(difference, a, i, b, j));
        else
            say(difference, text_format("%s %s: only in %s", checkpoint_part_names[tensor->part],
                                        tensor->name, run_checkpoint_path(a)));
    }
    for (int64_t j = 0; j < run_checkpoint_size(b); j++) {
        const struct checkpoint_tensor *tensor = run_checkpoint_tensor(b, j);
        if (run_checkpoint_find(a, tensor->part, tensor->name) < 0)
            say(difference, text_format("%s %s: only in %s", checkpoint_part_names[tensor->part],
                                        tensor->name, run_checkpoint_path(b)));
    }
out:
    return status;
}

enum status checkpoint_diff_command(struct command_call *call)
{
    enum status status = OK;
    struct run_checkpoint *a = NULL, *b = NULL;
    struct difference difference = {0};
    const char *path_a = NULL, *path_b = NULL;
    bool helped = false;
    const struct option_row rows[] = {
        {"A", NULL, OPTION_TEXT, true, 0, 0, &path_a,
         "a checkpoint, or the newest whole one of a folder of them or a run directory"},
        {"B", NULL, OPTION_TEXT, true, 0, 0, &path_b, "another; exit code 1 if they differ"},
    };
    TRY(options_read(rows, COUNT(rows), "checkpoint diff", call, &helped));
    if (helped) goto out;
    TRY(run_checkpoint_open_path(&a, path_a));
    TRY(run_checkpoint_open_path(&b, path_b));
    call->started = true;
    diff_progress(&difference, run_checkpoint_progress(a), run_checkpoint_progress(b));
    TRY(diff_tensors(&difference, a, b));
    if (difference.n > 0)
        FAIL(ERR_FORMAT, "%s and %s differ, as listed above", run_checkpoint_path(a),
             run_checkpoint_path(b));
out:
    run_checkpoint_close(a);
    run_checkpoint_close(b);
    return status;
}

/* ---- prune ---- */

enum status checkpoint_prune_command(struct command_call *call)
{
    enum status status = OK;
    const char *path = NULL;
    struct checkpoint_keep keep = {0};
    char **paths = NULL, *inner = NULL;
    size_t n = 0;
    bool dry_run = false, helped = false;
    const struct option_row rows[] = {
        {"DIR", NULL, OPTION_TEXT, true, 0, 0, &path,
         "a folder of checkpoints, or a run directory"},
        {"--keep-last", "N", OPTION_INTEGER, true, 1, 9e15, &keep.last,
         "so many whole ones stay, the newest"},
        {"--keep-every", "N", OPTION_INTEGER, false, 1, 9e15, &keep.every,
         "and those whose step is a multiple of N; default: none"},
        {"--dry-run", NULL, OPTION_FLAG, false, 0, 0, &dry_run, "only say what would go"},
    };
    TRY(options_read(rows, COUNT(rows), "checkpoint prune", call, &helped));
    if (helped) goto out;
    inner = path_join(path, "checkpoints");
    TRY(checkpoint_prunable(&paths, &n, file_exists(inner) ? inner : path, &keep));
    for (size_t i = 0; i < n; i++) {
        if (!dry_run) TRY(checkpoint_remove(&file_layer_system, paths[i]));
        printf("%s %s\n", dry_run ? "would remove" : "removed", paths[i]);
    }
out:
    names_free(paths, n);
    free(inner);
    return status;
}
