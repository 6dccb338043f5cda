/* The first format, one file, little-endian: "ROBINCK1", u64 bytes of the header, u32 CRC-32C of
 * the header, u32 0, the header (JSON), then the tensors in its order, whole, f32, each at the next
 * multiple of 64 bytes with zeros before it and a CRC in the header. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "checkpoint/stored_checkpoint.h"

#define MAGIC      "ROBINCK1"
#define MAX_HEADER ((uint64_t)64 << 20)

struct prefix {
    char magic[8];
    uint64_t header_size;
    uint32_t header_crc;
    uint32_t zero;
};

/* Zeros between the tensors; what is in them was meant for a tensor. */
static enum status check_padding(int fd, uint64_t from, uint64_t to, const char *path)
{
    enum status status = OK;
    unsigned char padding[CHECKPOINT_ALIGNMENT] = {0};
    TRY(file_pread(fd, padding, (size_t)(to - from), from, path));
    for (uint64_t i = 0; i < to - from; i++)
        if (padding[i] != 0)
            FAIL(ERR_FORMAT, "%s: byte %" PRIu64 " is between tensors and not zero", path,
                 from + i);
out:
    return status;
}

/* A tensor is a piece and a block of its own. */
static enum status read_entry(struct run_checkpoint *checkpoint, int64_t i, const json_t *entry,
                              uint64_t offset)
{
    enum status status = OK;
    char record[64];
    snprintf(record, sizeof record, "header: tensors[%" PRId64 "]", i);
    const struct json_place place = {.file = checkpoint->path, .record = record};
    int64_t crc = 0;
    TRY(stored_tensor_read(&checkpoint->tensors[i], entry, place));
    TRY(json_field_integer(&crc, entry, "crc32c", 0, UINT32_MAX, place));
    const int64_t n = checkpoint_tensor_size(&checkpoint->tensors[i]);
    checkpoint->pieces[i] =
        (struct stored_piece){.tensor = i, .offset = offset, .runs = {.length = n, .n = 1}};
    checkpoint->files->blocks[i] = (struct stored_block){
        .start = offset, .size = (uint64_t)n * sizeof(float), .crc = (uint32_t)crc};
out:
    return status;
}

/* *end is where the header ends, then where the file must. */
static enum status read_entries(struct run_checkpoint *checkpoint, int fd, uint64_t *end)
{
    enum status status = OK;
    json_t *entries = NULL;
    const char *path = checkpoint->path;
    const uint64_t size = checkpoint->files->size;
    TRY(json_field(&entries, checkpoint->root, "tensors", JSON_ARRAY,
                   (struct json_place){.file = path, .record = "header"}));
    const size_t n = json_array_size(entries);
    checkpoint->tensors = memory_new(n + 1, sizeof *checkpoint->tensors);
    checkpoint->pieces = memory_new(n + 1, sizeof *checkpoint->pieces);
    checkpoint->files->blocks = memory_new(n + 1, sizeof *checkpoint->files->blocks);
    for (size_t i = 0; i < n; i++) {
        const uint64_t before = *end, start = checkpoint_align(before);
        TRY(read_entry(checkpoint, (int64_t)i, json_array_get(entries, i), start));
        *end = start + checkpoint->files->blocks[i].size;
        if (*end > size)
            FAIL(ERR_FORMAT,
                 "%s: holds %" PRIu64 " bytes but its tensors up to tensors[%zu] need %" PRIu64,
                 path, size, i, *end);
        TRY(check_padding(fd, before, start, path));
    }
    checkpoint->n_tensors = checkpoint->n_pieces = (int64_t)n;
    checkpoint->files->n_blocks = checkpoint->files->n_pieces = (int64_t)n;
out:
    return status;
}

static enum status read_header(struct run_checkpoint *checkpoint, int fd)
{
    enum status status = OK;
    struct prefix prefix;
    char *text = NULL;
    const char *path = checkpoint->path;
    const uint64_t size = checkpoint->files->size;
    TRY(file_pread(fd, &prefix, sizeof prefix, 0, path));
    if (memcmp(prefix.magic, MAGIC, sizeof prefix.magic) != 0)
        FAIL(ERR_FORMAT, "%s: not a checkpoint of robin-dist: it does not begin with %s", path,
             MAGIC);
    if (prefix.zero != 0 || prefix.header_size > MAX_HEADER ||
        prefix.header_size + sizeof prefix > size)
        FAIL(ERR_FORMAT, "%s: header of %" PRIu64 " bytes in a file of %" PRIu64 "; it is damaged",
             path, prefix.header_size, size);
    text = memory_new((size_t)prefix.header_size + 1, 1);
    TRY(file_pread(fd, text, (size_t)prefix.header_size, sizeof prefix, path));
    if (crc32c(0, text, (size_t)prefix.header_size) != prefix.header_crc)
        FAIL(ERR_FORMAT, "%s: header: its CRC-32C does not match; the file is damaged", path);
    TRY(json_line_parse(&checkpoint->root, text, (size_t)prefix.header_size, path, 1));
    TRY(stored_progress_read(&checkpoint->progress, checkpoint->root,
                             (struct json_place){.file = path, .record = "header"}));
    uint64_t end = sizeof prefix + prefix.header_size;
    TRY(read_entries(checkpoint, fd, &end));
    if (end != size)
        FAIL(ERR_FORMAT, "%s: holds %" PRIu64 " bytes but its header describes %" PRIu64, path,
             size, end);
out:
    free(text);
    return status;
}

enum status format1_read(struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    struct stat about;
    const int fd = open(checkpoint->path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) FAIL(ERR_IO, "cannot open %s: %s", checkpoint->path, strerror(errno));
    if (fstat(fd, &about) != 0)
        FAIL(ERR_IO, "cannot read %s: %s", checkpoint->path, strerror(errno));
    checkpoint->files = memory_new(1, sizeof *checkpoint->files);
    checkpoint->n_files = 1;
    checkpoint->files->path = text_copy(checkpoint->path);
    checkpoint->files->size = (uint64_t)about.st_size;
    TRY(read_header(checkpoint, fd));
out:
    if (fd >= 0) close(fd);
    return status;
}
