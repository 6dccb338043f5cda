/* Writing checkpoints of a run, and tidying up after runs that were killed while they wrote. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_layout.h"
#include "checkpoint/run_checkpoint.h"

static int64_t element_count(const struct checkpoint_tensor *tensor)
{
    int64_t n = 1;
    for (int d = 0; d < tensor->n_dims; d++) n *= tensor->dims[d];
    return n;
}

static void set_hash(json_t *object, const char *key, uint64_t hash)
{
    char text[17];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    json_object_set_new(object, key, json_string(text));
}

static void set_bits(json_t *object, const char *key, double value)
{
    uint64_t bits = 0;
    memcpy(&bits, &value, sizeof bits);
    set_hash(object, key, bits);
}

static json_t *describe_tensor(const struct checkpoint_tensor *tensor)
{
    json_t *entry = json_object();
    json_t *dims = json_array();
    const size_t size = (size_t)element_count(tensor) * sizeof(float);
    for (int d = 0; d < tensor->n_dims; d++)
        json_array_append_new(dims, json_integer(tensor->dims[d]));
    json_object_set_new(entry, "name", json_string(tensor->name));
    json_object_set_new(entry, "part", json_string(checkpoint_part_names[tensor->part]));
    json_object_set_new(entry, "dims", dims);
    json_object_set_new(entry, "crc32c", json_integer(crc32c(0, tensor->data, size)));
    return entry;
}

static char *describe(const struct run_progress *progress, const struct checkpoint_tensor *tensors,
                      int64_t n_tensors)
{
    json_t *header = json_object();
    json_t *entries = json_array();
    json_object_set_new(header, "step", json_integer(progress->step));
    json_object_set_new(header, "skipped_steps", json_integer(progress->skipped_steps));
    json_object_set_new(header, "mean_steps", json_integer(progress->means.n));
    set_bits(header, "mean_loss", progress->means.loss);
    set_bits(header, "mean_norm", progress->means.norm);
    json_object_set_new(header, "samples", json_integer(progress->samples));
    set_hash(header, "order_hash", progress->order_hash);
    set_hash(header, "order_key", progress->order_key);
    set_hash(header, "config_hash", progress->config_hash);
    for (int64_t i = 0; i < n_tensors; i++)
        json_array_append_new(entries, describe_tensor(&tensors[i]));
    json_object_set_new(header, "tensors", entries);
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    return text;
}

static enum status write_file(const char *path, const char *header,
                              const struct checkpoint_tensor *tensors, int64_t n_tensors)
{
    enum status status = OK;
    static const unsigned char zeros[64];
    struct atomic_file file = {.fd = -1};
    struct checkpoint_prefix prefix = {.header_size = strlen(header)};
    memcpy(prefix.magic, CHECKPOINT_MAGIC, sizeof prefix.magic);
    prefix.header_crc = crc32c(0, header, strlen(header));
    TRY(atomic_file_open(&file, path));
    TRY(atomic_file_write(&file, &prefix, sizeof prefix));
    TRY(atomic_file_write(&file, header, strlen(header)));
    for (int64_t i = 0; i < n_tensors; i++) {
        const size_t padding = (size_t)(checkpoint_align(file.offset) - file.offset);
        TRY(atomic_file_write(&file, zeros, padding));
        TRY(atomic_file_write(&file, tensors[i].data,
                              (size_t)element_count(&tensors[i]) * sizeof(float)));
    }
    TRY(atomic_file_commit(&file));
out:
    atomic_file_abandon(&file);
    return status;
}

bool checkpoint_is_name(const char *name)
{
    return strlen(name) == strlen("step-000000000.ckpt") && strncmp(name, "step-", 5) == 0 &&
           strspn(name + 5, "0123456789") == 9 && strcmp(name + 14, ".ckpt") == 0;
}

/* Removes older checkpoints beyond `keep`, and parts of checkpoints that were never finished. */
static enum status tidy(const char *directory, int64_t keep)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    int64_t kept = 0;
    TRY(directory_list(&names, &n, directory));
    for (size_t i = n; i-- > 0;) {
        const bool whole = checkpoint_is_name(names[i]);
        const bool aside = strncmp(names[i], "step-", 5) == 0 && strstr(names[i], ".ckpt.tmp.");
        kept += whole;
        if (!aside && !(whole && keep > 0 && kept > keep)) continue;
        char *path = path_join(directory, names[i]);
        status = directory_remove(path);
        free(path);
        if (status != OK) goto out;
    }
out:
    names_free(names, n);
    return status;
}

enum status run_checkpoint_write(const char *directory, int64_t keep,
                                 const struct run_progress *progress,
                                 const struct checkpoint_tensor *tensors, int64_t n_tensors)
{
    enum status status = OK;
    char *name = text_format("step-%09" PRId64 ".ckpt", progress->step);
    char *path = path_join(directory, name);
    char *latest = path_join(directory, "latest");
    char *header = describe(progress, tensors, n_tensors);
    if (header == NULL) FAIL(ERR_MEMORY, "no memory for the header of %s", path);
    TRY(directory_create(directory));
    TRY(tidy(directory, 0));
    TRY_WHERE(write_file(path, header, tensors, n_tensors),
              "checkpoint of step %" PRId64 " is not written", progress->step);
    TRY(file_write_atomic(latest, name, strlen(name)));
    TRY(tidy(directory, keep));
out:
    free(header);
    free(latest);
    free(path);
    free(name);
    return status;
}
