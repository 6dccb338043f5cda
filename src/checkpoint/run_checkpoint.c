/* Opening checkpoints of either format, reading blocks of them, and choosing among several. */
#include "checkpoint/run_checkpoint.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/bf16.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_names.h"
#include "checkpoint/stored_checkpoint.h"

/* ---- life ---- */

enum status run_checkpoint_open(struct run_checkpoint **checkpoint_out, const char *path)
{
    enum status status = OK;
    struct stat about;
    struct run_checkpoint *checkpoint = memory_new(1, sizeof *checkpoint);
    checkpoint->path = text_copy(path);
    if (stat(path, &about) != 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    TRY(S_ISDIR(about.st_mode) ? manifest_read(checkpoint) : format1_read(checkpoint));
    *checkpoint_out = checkpoint;
    checkpoint = NULL;
out:
    run_checkpoint_close(checkpoint);
    return status;
}

void run_checkpoint_close(struct run_checkpoint *checkpoint)
{
    if (checkpoint == NULL) return;
    for (int64_t f = 0; f < checkpoint->n_files; f++) {
        free(checkpoint->files[f].path);
        free(checkpoint->files[f].blocks);
    }
    free(checkpoint->files);
    free(checkpoint->pieces);
    free(checkpoint->tensors);
    json_decref(checkpoint->root);
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

const json_t *run_checkpoint_about(const struct run_checkpoint *checkpoint)
{
    return json_object_get(checkpoint->root, "run");
}

int64_t run_checkpoint_files(const struct run_checkpoint *checkpoint, uint64_t *bytes_out)
{
    *bytes_out = 0;
    for (int64_t f = 0; f < checkpoint->n_files; f++) *bytes_out += checkpoint->files[f].size;
    return checkpoint->n_files;
}

int64_t run_checkpoint_size(const struct run_checkpoint *checkpoint)
{
    return checkpoint->n_tensors;
}

const struct checkpoint_tensor *run_checkpoint_tensor(const struct run_checkpoint *checkpoint,
                                                      int64_t index)
{
    ASSERT(index >= 0 && index < checkpoint->n_tensors, "tensor %" PRId64, index);
    return &checkpoint->tensors[index];
}

int64_t run_checkpoint_find(const struct run_checkpoint *checkpoint, enum checkpoint_part part,
                            const char *name)
{
    for (int64_t i = 0; i < checkpoint->n_tensors; i++) {
        const struct checkpoint_tensor *tensor = &checkpoint->tensors[i];
        if (tensor->part == part && strcmp(tensor->name, name) == 0) return i;
    }
    return -1;
}

/* ---- blocks ---- */

/* What is wanted, by tensor; first NULL: everything is read and nothing copied. */
struct wanted {
    const struct run_checkpoint *checkpoint;
    const struct checkpoint_request *requests;
    int64_t *first; /* [tensors + 1] */
    int64_t *order; /* of the requests */
    int64_t copied; /* elements */
    unsigned char *bytes;
    size_t capacity;
};

static void sort_requests(struct wanted *wanted, int64_t n)
{
    const size_t n_tensors = (size_t)wanted->checkpoint->n_tensors;
    int64_t *first = memory_new(n_tensors + 2, sizeof *first);
    wanted->order = memory_new((size_t)n + 1, sizeof *wanted->order);
    for (int64_t i = 0; i < n; i++) {
        ASSERT(wanted->requests[i].tensor < wanted->checkpoint->n_tensors, "no such tensor");
        first[wanted->requests[i].tensor + 2]++;
    }
    for (size_t t = 2; t < n_tensors + 2; t++) first[t] += first[t - 1];
    for (int64_t i = 0; i < n; i++) wanted->order[first[wanted->requests[i].tensor + 1]++] = i;
    wanted->first = first;
}

/* Elements of a tensor as they stand in the file, as fp32; *widened, to free(), where they are
 * not. */
static const float *as_floats(const struct checkpoint_tensor *tensor, const unsigned char *data,
                              int64_t n, float **widened)
{
    *widened = NULL;
    if (!tensor->bf16 || n <= 0) return (const float *)data;
    *widened = memory_new((size_t)n, sizeof **widened);
    for (int64_t i = 0; i < n; i++) (*widened)[i] = bf16_to_float(((const uint16_t *)data)[i]);
    return *widened;
}

/* What of the piece lies in the block goes to those who want it; data NULL: is counted. */
static int64_t take_piece(const struct wanted *wanted, const struct stored_piece *piece,
                          const struct stored_block *block, const unsigned char *data)
{
    int64_t taken = 0;
    const struct checkpoint_tensor *tensor = &wanted->checkpoint->tensors[piece->tensor];
    const size_t bytes = checkpoint_element_bytes(tensor);
    const int64_t size = tensor_runs_size(piece->runs);
    const uint64_t block_end = block->start + block->size;
    const int64_t first =
        block->start > piece->offset ? (int64_t)((block->start - piece->offset) / bytes) : 0;
    const int64_t to_end = (int64_t)((block_end - piece->offset) / bytes);
    const int64_t end = size < to_end ? size : to_end;
    const uint64_t at = piece->offset + (uint64_t)first * bytes - block->start;
    float *widened = NULL;
    const float *values = data == NULL ? NULL : as_floats(tensor, data + at, end - first, &widened);
    for (int64_t i = wanted->first[piece->tensor]; i < wanted->first[piece->tensor + 1]; i++) {
        struct tensor_target target = wanted->requests[wanted->order[i]].target;
        if (data == NULL) target.out = NULL;
        taken += tensor_runs_copy(&target, values, piece->runs, first, end);
    }
    free(widened);
    return taken;
}

/* All pieces of the block, from piece `p` on. */
static int64_t take_block(const struct wanted *wanted, const struct stored_file *file, int64_t p,
                          const struct stored_block *block, const unsigned char *data)
{
    int64_t taken = 0;
    const struct stored_piece *pieces = wanted->checkpoint->pieces;
    const int64_t end = file->first_piece + file->n_pieces;
    for (; p < end && pieces[p].offset < block->start + block->size; p++)
        taken += take_piece(wanted, &pieces[p], block, data);
    return taken;
}

static enum status read_block(struct wanted *wanted, int fd, const struct stored_file *file,
                              int64_t b, const struct stored_piece *piece)
{
    enum status status = OK;
    const struct stored_block *block = &file->blocks[b];
    if (block->size > wanted->capacity) {
        free(wanted->bytes);
        wanted->capacity = 0;
        wanted->bytes = aligned_alloc(CHECKPOINT_ALIGNMENT, checkpoint_align(block->size));
        if (wanted->bytes == NULL)
            FAIL(ERR_MEMORY, "no memory to read %s: %" PRIu64 " bytes", file->path, block->size);
        wanted->capacity = (size_t)block->size;
    }
    TRY(file_pread(fd, wanted->bytes, (size_t)block->size, block->start, file->path));
    const uint32_t crc = crc32c(0, wanted->bytes, (size_t)block->size);
    if (crc != block->crc)
        FAIL(ERR_FORMAT,
             "%s: block %" PRId64 " (%" PRIu64 " bytes at %" PRIu64 ", with %s): its CRC-32C is "
             "%08" PRIx32 " and must be %08" PRIx32 "; the file is damaged",
             file->path, b, block->size, block->start,
             wanted->checkpoint->tensors[piece->tensor].name, crc, block->crc);
out:
    return status;
}

static enum status read_file(struct wanted *wanted, const struct stored_file *file)
{
    enum status status = OK;
    const struct stored_piece *pieces = wanted->checkpoint->pieces;
    const int64_t end = file->first_piece + file->n_pieces;
    int64_t p = file->first_piece;
    int fd = -1;
    for (int64_t b = 0; b < file->n_blocks; b++) {
        const struct stored_block *block = &file->blocks[b];
        while (p + 1 < end && pieces[p + 1].offset <= block->start) p++;
        if (wanted->first != NULL && take_block(wanted, file, p, block, NULL) == 0) continue;
        if (fd < 0) fd = open(file->path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) FAIL(ERR_IO, "cannot open %s: %s", file->path, strerror(errno));
        TRY(read_block(wanted, fd, file, b, &pieces[p]));
        if (wanted->first != NULL)
            wanted->copied += take_block(wanted, file, p, block, wanted->bytes);
    }
out:
    if (fd >= 0) close(fd);
    return status;
}

static enum status read_files(struct wanted *wanted)
{
    enum status status = OK;
    for (int64_t f = 0; f < wanted->checkpoint->n_files; f++)
        TRY(read_file(wanted, &wanted->checkpoint->files[f]));
out:
    free(wanted->bytes);
    return status;
}

enum status run_checkpoint_load(const struct run_checkpoint *checkpoint,
                                const struct checkpoint_request *requests, int64_t n)
{
    enum status status = OK;
    int64_t asked = 0;
    struct wanted wanted = {.checkpoint = checkpoint, .requests = requests};
    sort_requests(&wanted, n);
    for (int64_t i = 0; i < n; i++) asked += tensor_runs_size(requests[i].target.runs);
    TRY(read_files(&wanted));
    ASSERT(wanted.copied == asked, "%" PRId64 " elements of %" PRId64 " were there", wanted.copied,
           asked);
out:
    free(wanted.order);
    free(wanted.first);
    return status;
}

enum status run_checkpoint_read(const struct run_checkpoint *checkpoint, int64_t index, float *data)
{
    const int64_t n = checkpoint_tensor_size(run_checkpoint_tensor(checkpoint, index));
    const struct checkpoint_request whole = {
        .tensor = index, .target = {.runs = {.length = n, .n = 1}, .out = data}};
    return run_checkpoint_load(checkpoint, &whole, 1);
}

enum status run_checkpoint_verify(const struct run_checkpoint *checkpoint)
{
    return read_files(&(struct wanted){.checkpoint = checkpoint});
}

/* ---- choosing ---- */

/* Opens and verifies; NULL and a warning where the file is damaged. One of a newer program is not:
 * to pass it over would be to lose what is in it. */
static enum status open_whole(struct run_checkpoint **checkpoint_out, const char *path, bool last)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = NULL;
    *checkpoint_out = NULL;
    status = run_checkpoint_open(&checkpoint, path);
    if (status == OK) status = run_checkpoint_verify(checkpoint);
    if (status == OK) {
        *checkpoint_out = checkpoint;
        return OK;
    }
    run_checkpoint_close(checkpoint);
    if (status == ERR_UNSUPPORTED || last) return status;
    log_warn("%s; this checkpoint is passed over", status_message());
    return OK;
}

static enum status open_first_whole(struct run_checkpoint **checkpoint_out, char *const *paths,
                                    size_t n, const char *where)
{
    enum status status = OK;
    *checkpoint_out = NULL;
    for (size_t i = 0; i < n && *checkpoint_out == NULL; i++)
        TRY(open_whole(checkpoint_out, paths[i], n == 1 && strcmp(paths[i], where) == 0));
    if (*checkpoint_out == NULL && n > 0)
        FAIL(ERR_FORMAT, "%s: all %zu checkpoints are damaged; remove the directory to begin anew",
             where, n);
out:
    return status;
}

enum status run_checkpoint_open_newest(struct run_checkpoint **checkpoint_out,
                                       const char *directory)
{
    enum status status = OK;
    char **paths = NULL;
    size_t n = 0;
    *checkpoint_out = NULL;
    TRY(checkpoint_paths_in(&paths, &n, directory));
    TRY(open_first_whole(checkpoint_out, paths, n, directory));
out:
    names_free(paths, n);
    return status;
}

enum status run_checkpoint_open_path(struct run_checkpoint **checkpoint_out, const char *path)
{
    enum status status = OK;
    char **paths = NULL;
    size_t n = 0;
    TRY(checkpoint_paths_of(&paths, &n, path));
    TRY(open_first_whole(checkpoint_out, paths, n, path));
out:
    names_free(paths, n);
    return status;
}
