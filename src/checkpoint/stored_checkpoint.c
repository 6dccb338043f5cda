/* Fields of both formats, and whether pieces make up their tensors. */
#include "checkpoint/stored_checkpoint.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"

const char *const checkpoint_part_names[CHECKPOINT_PARTS] = {"weight", "first_moment",
                                                             "second_moment", "mean_weight"};

int64_t checkpoint_tensor_size(const struct checkpoint_tensor *tensor)
{
    int64_t n = 1;
    for (int d = 0; d < tensor->n_dims; d++) n *= tensor->dims[d];
    return n;
}

/* ---- fields ---- */

static enum status read_hash(uint64_t *value_out, const json_t *object, const char *key,
                             struct json_place place)
{
    enum status status = OK;
    const char *text = NULL;
    TRY(json_field_string(&text, object, key, place));
    if (strlen(text) != 16 || strspn(text, "0123456789abcdef") != 16)
        FAIL(ERR_FORMAT, "%s: %s: %s is \"%.40s\" but must be 16 hexadecimal digits", place.file,
             place.record, key, text);
    *value_out = strtoull(text, NULL, 16);
out:
    return status;
}

/* A double by its bits: what goes on must be what stood there. */
static enum status read_bits(double *value_out, const json_t *object, const char *key,
                             struct json_place place)
{
    enum status status = OK;
    uint64_t bits = 0;
    TRY(read_hash(&bits, object, key, place));
    memcpy(value_out, &bits, sizeof bits);
out:
    return status;
}

/* Of a checkpoint without them no step was skipped. */
static enum status read_skips(struct run_progress *progress, const json_t *object,
                              struct json_place place)
{
    enum status status = OK;
    if (json_object_get(object, "skipped_steps") == NULL) return OK;
    TRY(json_field_integer(&progress->skipped_steps, object, "skipped_steps", 0, progress->step,
                           place));
    TRY(json_field_integer(&progress->means.n, object, "mean_steps", 0, INT64_MAX, place));
    TRY(read_bits(&progress->means.loss, object, "mean_loss", place));
    TRY(read_bits(&progress->means.norm, object, "mean_norm", place));
out:
    return status;
}

enum status stored_progress_read(struct run_progress *progress, const json_t *object,
                                 struct json_place place)
{
    enum status status = OK;
    TRY(json_field_integer(&progress->step, object, "step", 0, INT64_MAX, place));
    TRY(read_skips(progress, object, place));
    TRY(json_field_integer(&progress->samples, object, "samples", 0, INT64_MAX, place));
    TRY(read_hash(&progress->order_hash, object, "order_hash", place));
    TRY(read_hash(&progress->order_key, object, "order_key", place));
    TRY(read_hash(&progress->config_hash, object, "config_hash", place));
out:
    return status;
}

static enum status read_part(enum checkpoint_part *part_out, const json_t *entry,
                             struct json_place place)
{
    enum status status = OK;
    const char *text = NULL;
    TRY(json_field_string(&text, entry, "part", place));
    for (int part = 0; part < CHECKPOINT_PARTS; part++) {
        if (strcmp(text, checkpoint_part_names[part]) != 0) continue;
        *part_out = (enum checkpoint_part)part;
        return OK;
    }
    FAIL(ERR_FORMAT, "%s: %s: part is \"%.40s\", which there is not", place.file, place.record,
         text);
out:
    return status;
}

static enum status read_dims(struct checkpoint_tensor *tensor, const json_t *entry,
                             struct json_place place)
{
    enum status status = OK;
    json_t *dims = NULL;
    int64_t elements = 1;
    TRY(json_field(&dims, entry, "dims", JSON_ARRAY, place));
    const size_t n = json_array_size(dims);
    if (n < 1 || n > 4)
        FAIL(ERR_FORMAT, "%s: %s: dims has %zu entries but must have 1 to 4", place.file,
             place.record, n);
    for (size_t d = 0; d < n; d++) {
        const json_t *value = json_array_get(dims, d);
        const int64_t dim = json_is_integer(value) ? json_integer_value(value) : 0;
        if (dim < 1 || dim > CHECKPOINT_MAX_ELEMENTS / elements)
            FAIL(ERR_FORMAT, "%s: %s: dims[%zu] is %" PRId64 ", with which it has no size",
                 place.file, place.record, d, dim);
        tensor->dims[d] = dim;
        elements *= dim;
    }
    tensor->n_dims = (int)n;
out:
    return status;
}

enum status stored_tensor_read(struct checkpoint_tensor *tensor, const json_t *entry,
                               struct json_place place)
{
    enum status status = OK;
    TRY(json_field_string(&tensor->name, entry, "name", place));
    if (tensor->name[0] == '\0') FAIL(ERR_FORMAT, "%s: %s: name is \"\"", place.file, place.record);
    TRY(read_part(&tensor->part, entry, place));
    TRY(read_dims(tensor, entry, place));
out:
    return status;
}

/* ---- whether the pieces fit together ---- */

/* Sets bits first .. end - 1; false if one of them was set. */
static bool set_bits(uint64_t *words, int64_t first, int64_t end)
{
    while (first < end) {
        const int64_t bit = first % 64, left = 64 - bit;
        const int64_t n = end - first < left ? end - first : left;
        const uint64_t ones = n == 64 ? ~(uint64_t)0 : (((uint64_t)1 << n) - 1) << bit;
        if ((words[first / 64] & ones) != 0) return false;
        words[first / 64] |= ones;
        first += n;
    }
    return true;
}

static enum status check_tensor(const struct run_checkpoint *checkpoint, int64_t t,
                                const int64_t *pieces, int64_t n)
{
    enum status status = OK;
    const struct checkpoint_tensor *tensor = &checkpoint->tensors[t];
    const char *part = checkpoint_part_names[tensor->part];
    const int64_t size = checkpoint_tensor_size(tensor);
    int64_t sum = 0;
    uint64_t *words = NULL;
    for (int64_t i = 0; i < n; i++) sum += tensor_runs_size(checkpoint->pieces[pieces[i]].runs);
    if (sum != size)
        FAIL(ERR_FORMAT,
             "%s: the pieces of %s %s hold %" PRId64 " elements but the tensor has %" PRId64,
             checkpoint->path, part, tensor->name, sum, size);
    if (n == 1) goto out; /* as many elements as there are, none of them twice: all */
    words = calloc((size_t)(size / 64 + 1), sizeof *words);
    if (words == NULL)
        FAIL(ERR_MEMORY, "no memory to check the %" PRId64 " elements of %s", size, tensor->name);
    for (int64_t i = 0; i < n; i++) {
        const struct tensor_runs runs = checkpoint->pieces[pieces[i]].runs;
        for (int64_t run = 0; run < runs.n; run++) {
            const int64_t start = runs.start + run * runs.step;
            if (!set_bits(words, start, start + runs.length))
                FAIL(ERR_FORMAT,
                     "%s: pieces of %s %s overlap at element %" PRId64 " or behind it, so others "
                     "are missing",
                     checkpoint->path, part, tensor->name, start);
        }
    }
out:
    free(words);
    return status;
}

enum status pieces_check(const struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    const size_t n_tensors = (size_t)checkpoint->n_tensors;
    int64_t *first = memory_new(n_tensors + 2, sizeof *first);
    int64_t *order = memory_new((size_t)checkpoint->n_pieces + 1, sizeof *order);
    for (int64_t i = 0; i < checkpoint->n_pieces; i++) first[checkpoint->pieces[i].tensor + 2]++;
    for (size_t t = 2; t < n_tensors + 2; t++) first[t] += first[t - 1];
    for (int64_t i = 0; i < checkpoint->n_pieces; i++)
        order[first[checkpoint->pieces[i].tensor + 1]++] = i;
    for (int64_t t = 0; t < checkpoint->n_tensors; t++)
        TRY(check_tensor(checkpoint, t, order + first[t], first[t + 1] - first[t]));
out:
    free(order);
    free(first);
    return status;
}
