/* Reading checkpoints of a run and choosing among them; run_checkpoint_write.c writes them. */
#include "checkpoint/run_checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_layout.h"

struct stored_tensor {
    struct checkpoint_tensor about; /* the name is borrowed from the header */
    uint64_t offset;
    uint64_t padding; /* zeros before it */
    int64_t n_elements;
    uint32_t crc;
};

struct run_checkpoint {
    int fd;
    char *path;
    json_t *header;
    struct run_progress progress;
    struct stored_tensor *tensors;
    int64_t n_tensors;
};

const char *const checkpoint_part_names[CHECKPOINT_PARTS] = {"weight", "first_moment",
                                                             "second_moment", "mean_weight"};

static enum status read_hash(uint64_t *value_out, const json_t *object, const char *key,
                             struct json_place place)
{
    enum status status = OK;
    const char *text = NULL;
    char *end = NULL;
    TRY(json_field_string(&text, object, key, place));
    errno = 0;
    *value_out = strtoull(text, &end, 16);
    if (strlen(text) != 16 || *end != '\0' || errno != 0)
        FAIL(ERR_FORMAT, "%s: %s: %s is \"%s\" but must be 16 hexadecimal digits", place.file,
             place.record, key, text);
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
static enum status read_skips(struct run_progress *progress, const json_t *header,
                              struct json_place place)
{
    enum status status = OK;
    if (json_object_get(header, "skipped_steps") == NULL) return OK;
    TRY(json_field_integer(&progress->skipped_steps, header, "skipped_steps", 0, progress->step,
                           place));
    TRY(json_field_integer(&progress->means.n, header, "mean_steps", 0, INT64_MAX, place));
    TRY(read_bits(&progress->means.loss, header, "mean_loss", place));
    TRY(read_bits(&progress->means.norm, header, "mean_norm", place));
out:
    return status;
}

static enum status read_progress(struct run_progress *progress, const json_t *header,
                                 struct json_place place)
{
    enum status status = OK;
    TRY(json_field_integer(&progress->step, header, "step", 0, INT64_MAX, place));
    TRY(read_skips(progress, header, place));
    TRY(json_field_integer(&progress->samples, header, "samples", 0, INT64_MAX, place));
    TRY(read_hash(&progress->order_hash, header, "order_hash", place));
    TRY(read_hash(&progress->order_key, header, "order_key", place));
    TRY(read_hash(&progress->config_hash, header, "config_hash", place));
out:
    return status;
}

static enum status read_dims(struct stored_tensor *tensor, const json_t *entry,
                             struct json_place place)
{
    enum status status = OK;
    json_t *dims = NULL;
    TRY(json_field(&dims, entry, "dims", JSON_ARRAY, place));
    const size_t n = json_array_size(dims);
    if (n < 1 || n > 4)
        FAIL(ERR_FORMAT, "%s: %s: dims has %zu entries but must have 1 to 4", place.file,
             place.record, n);
    tensor->n_elements = 1;
    for (size_t d = 0; d < n; d++) {
        const int64_t dim = json_integer_value(json_array_get(dims, d));
        if (dim < 1 || dim > CHECKPOINT_MAX_ELEMENTS / tensor->n_elements)
            FAIL(ERR_FORMAT, "%s: %s: dims[%zu] is %" PRId64 ", which no tensor has", place.file,
                 place.record, d, dim);
        tensor->about.dims[d] = dim;
        tensor->n_elements *= dim;
    }
    tensor->about.n_dims = (int)n;
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
        goto out;
    }
    FAIL(ERR_FORMAT, "%s: %s: part is \"%s\" but must be weight, first_moment or second_moment",
         place.file, place.record, text);
out:
    return status;
}

static enum status read_tensor_entry(struct stored_tensor *tensor, const json_t *entry,
                                     struct json_place place)
{
    enum status status = OK;
    int64_t crc = 0;
    TRY(json_field_string(&tensor->about.name, entry, "name", place));
    TRY(read_part(&tensor->about.part, entry, place));
    TRY(read_dims(tensor, entry, place));
    TRY(json_field_integer(&crc, entry, "crc32c", 0, UINT32_MAX, place));
    tensor->crc = (uint32_t)crc;
out:
    return status;
}

/* Fills the tensors and where they lie; *end_out is the size that the file must have. */
static enum status read_tensor_entries(struct run_checkpoint *checkpoint, uint64_t data_start,
                                       uint64_t *end_out)
{
    enum status status = OK;
    json_t *entries = NULL;
    const struct json_place root = {.file = checkpoint->path, .record = "header"};
    TRY(json_field(&entries, checkpoint->header, "tensors", JSON_ARRAY, root));
    checkpoint->n_tensors = (int64_t)json_array_size(entries);
    checkpoint->tensors =
        memory_new((size_t)checkpoint->n_tensors + 1, sizeof *checkpoint->tensors);
    uint64_t end = data_start;
    for (int64_t i = 0; i < checkpoint->n_tensors; i++) {
        struct stored_tensor *tensor = &checkpoint->tensors[i];
        char record[64];
        snprintf(record, sizeof record, "header: tensors[%" PRId64 "]", i);
        const struct json_place place = {.file = checkpoint->path, .record = record};
        TRY(read_tensor_entry(tensor, json_array_get(entries, (size_t)i), place));
        tensor->offset = checkpoint_align(end);
        tensor->padding = tensor->offset - end;
        end = tensor->offset + (uint64_t)tensor->n_elements * sizeof(float);
        if (end > CHECKPOINT_MAX_BYTES)
            FAIL(ERR_FORMAT, "%s: %s: the tensors up to this one are larger than any file",
                 place.file, place.record);
    }
    *end_out = end;
out:
    return status;
}

static enum status read_header(struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    struct checkpoint_prefix prefix;
    struct stat about;
    char *text = NULL;
    const char *path = checkpoint->path;
    if (fstat(checkpoint->fd, &about) != 0)
        FAIL(ERR_IO, "cannot read %s: %s", path, strerror(errno));
    TRY(file_pread(checkpoint->fd, &prefix, sizeof prefix, 0, path));
    if (memcmp(prefix.magic, CHECKPOINT_MAGIC, sizeof prefix.magic) != 0)
        FAIL(ERR_FORMAT, "%s: not a checkpoint of robin-dist: it does not begin with %s", path,
             CHECKPOINT_MAGIC);
    if (prefix.zero != 0 || prefix.header_size > CHECKPOINT_MAX_HEADER ||
        prefix.header_size + sizeof prefix > (uint64_t)about.st_size)
        FAIL(ERR_FORMAT, "%s: header of %" PRIu64 " bytes in a file of %" PRId64 "; it is damaged",
             path, prefix.header_size, (int64_t)about.st_size);
    text = memory_new((size_t)prefix.header_size + 1, 1);
    TRY(file_pread(checkpoint->fd, text, (size_t)prefix.header_size, sizeof prefix, path));
    if (crc32c(0, text, (size_t)prefix.header_size) != prefix.header_crc)
        FAIL(ERR_FORMAT, "%s: header: its CRC-32C does not match; the file is damaged", path);
    TRY(json_line_parse(&checkpoint->header, text, (size_t)prefix.header_size, path, 1));
    TRY(read_progress(&checkpoint->progress, checkpoint->header,
                      (struct json_place){.file = path, .record = "header"}));
    uint64_t end = 0;
    TRY(read_tensor_entries(checkpoint, sizeof prefix + prefix.header_size, &end));
    if (end != (uint64_t)about.st_size)
        FAIL(ERR_FORMAT, "%s: holds %" PRId64 " bytes but its header describes %" PRIu64, path,
             (int64_t)about.st_size, end);
out:
    free(text);
    return status;
}

enum status run_checkpoint_open(struct run_checkpoint **checkpoint_out, const char *path)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = memory_new(1, sizeof *checkpoint);
    checkpoint->path = text_copy(path);
    checkpoint->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (checkpoint->fd < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    TRY(read_header(checkpoint));
    *checkpoint_out = checkpoint;
    checkpoint = NULL;
out:
    run_checkpoint_close(checkpoint);
    return status;
}

void run_checkpoint_close(struct run_checkpoint *checkpoint)
{
    if (checkpoint == NULL) return;
    if (checkpoint->fd >= 0) close(checkpoint->fd);
    json_decref(checkpoint->header);
    free(checkpoint->tensors);
    free(checkpoint->path);
    free(checkpoint);
}

const struct run_progress *run_checkpoint_progress(const struct run_checkpoint *checkpoint)
{
    return &checkpoint->progress;
}

const char *run_checkpoint_path(const struct run_checkpoint *checkpoint)
{
    return checkpoint->path;
}

int64_t run_checkpoint_size(const struct run_checkpoint *checkpoint)
{
    return checkpoint->n_tensors;
}

const struct checkpoint_tensor *run_checkpoint_tensor(const struct run_checkpoint *checkpoint,
                                                      int64_t index)
{
    ASSERT(index >= 0 && index < checkpoint->n_tensors, "tensor %" PRId64, index);
    return &checkpoint->tensors[index].about;
}

int64_t run_checkpoint_find(const struct run_checkpoint *checkpoint, enum checkpoint_part part,
                            const char *name)
{
    for (int64_t i = 0; i < checkpoint->n_tensors; i++) {
        const struct checkpoint_tensor *tensor = &checkpoint->tensors[i].about;
        if (tensor->part == part && strcmp(tensor->name, name) == 0) return i;
    }
    return -1;
}

enum status run_checkpoint_read(const struct run_checkpoint *checkpoint, int64_t index, float *data)
{
    enum status status = OK;
    const struct checkpoint_tensor *about = run_checkpoint_tensor(checkpoint, index);
    const struct stored_tensor *tensor = &checkpoint->tensors[index];
    const size_t size = (size_t)tensor->n_elements * sizeof(float);
    unsigned char padding[64] = {0};
    TRY(file_pread(checkpoint->fd, padding, (size_t)tensor->padding,
                   tensor->offset - tensor->padding, checkpoint->path));
    for (uint64_t i = 0; i < tensor->padding; i++)
        if (padding[i] != 0)
            FAIL(ERR_FORMAT, "%s: the bytes before %s of %s are not zero; the file is damaged",
                 checkpoint->path, checkpoint_part_names[about->part], about->name);
    TRY(file_pread(checkpoint->fd, data, size, tensor->offset, checkpoint->path));
    if (crc32c(0, data, size) != tensor->crc)
        FAIL(ERR_FORMAT, "%s: %s of %s: its CRC-32C does not match; the file is damaged",
             checkpoint->path, checkpoint_part_names[about->part], about->name);
out:
    return status;
}

enum status run_checkpoint_verify(const struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    int64_t largest = 1;
    for (int64_t i = 0; i < checkpoint->n_tensors; i++)
        if (checkpoint->tensors[i].n_elements > largest)
            largest = checkpoint->tensors[i].n_elements;
    float *data = malloc((size_t)largest * sizeof(float));
    if (data == NULL)
        FAIL(ERR_MEMORY, "no memory to verify %s: %" PRId64 " floats", checkpoint->path, largest);
    for (int64_t i = 0; i < checkpoint->n_tensors; i++)
        TRY(run_checkpoint_read(checkpoint, i, data));
out:
    free(data);
    return status;
}

/* Opens and verifies; NULL and a warning where the file is damaged. */
static struct run_checkpoint *open_whole(const char *path)
{
    struct run_checkpoint *checkpoint = NULL;
    enum status status = run_checkpoint_open(&checkpoint, path);
    if (status == OK) status = run_checkpoint_verify(checkpoint);
    if (status == OK) return checkpoint;
    log_warn("%s; this checkpoint is passed over", status_message());
    run_checkpoint_close(checkpoint);
    return NULL;
}

enum status run_checkpoint_open_newest(struct run_checkpoint **checkpoint_out,
                                       const char *directory)
{
    enum status status = OK;
    char **names = NULL;
    size_t n = 0;
    int n_damaged = 0;
    *checkpoint_out = NULL;
    if (!file_exists(directory)) goto out;
    TRY(directory_list(&names, &n, directory));
    for (size_t i = n; i-- > 0 && *checkpoint_out == NULL;) { /* sorted: the newest is last */
        if (!checkpoint_is_name(names[i])) continue;
        char *path = path_join(directory, names[i]);
        *checkpoint_out = open_whole(path);
        n_damaged += *checkpoint_out == NULL;
        free(path);
    }
    if (*checkpoint_out == NULL && n_damaged > 0)
        FAIL(ERR_FORMAT, "%s: all %d checkpoints are damaged; remove the directory to begin anew",
             directory, n_damaged);
out:
    names_free(names, n);
    return status;
}

enum status run_checkpoint_open_path(struct run_checkpoint **checkpoint_out, const char *path)
{
    enum status status = OK;
    const size_t length = strlen(path);
    const bool is_latest = length > 7 && strcmp(path + length - 7, "/latest") == 0;
    char *folder = text_format("%.*s", (int)(is_latest ? length - 7 : length), path);
    char *inner = path_join(folder, "checkpoints"), *self = path_join(folder, ".");
    *checkpoint_out = NULL;
    if (!file_exists(self))
        TRY(run_checkpoint_open(checkpoint_out, folder));
    else
        TRY(run_checkpoint_open_newest(checkpoint_out, file_exists(inner) ? inner : folder));
    if (*checkpoint_out == NULL)
        FAIL(ERR_IO, "%s holds no checkpoint; run the stage before this one", path);
out:
    free(folder);
    free(inner);
    free(self);
    return status;
}
