/* Reading a manifest, as if an enemy had written it. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "checkpoint/checkpoint_names.h"
#include "checkpoint/manifest.h"
#include "checkpoint/stored_checkpoint.h"

#define MAX_BLOCK_BYTES ((int64_t)1 << 30)
#define MIN_BLOCK_BYTES ((int64_t)4096)
#define PIECE_NUMBERS   6

struct reading {
    struct run_checkpoint *checkpoint;
    struct json_place root; /* the manifest */
    int64_t block_bytes;
};

/* ---- the text ---- */

static enum status check_crc(const char *text, size_t size, const char *path)
{
    enum status status = OK;
    static const char before[] = "{\"crc32c\":\"", behind[] = "\",";
    const size_t digits = strlen(before);
    if (size < MANIFEST_CRC_BYTES || memcmp(text, before, digits) != 0 ||
        memcmp(text + digits + 8, behind, strlen(behind)) != 0)
        FAIL(ERR_FORMAT, "%s: does not begin with the field crc32c; it is no manifest, or damaged",
             path);
    char written[9];
    snprintf(written, sizeof written, "%08" PRIx32,
             crc32c(0, text + MANIFEST_CRC_BYTES, size - MANIFEST_CRC_BYTES));
    if (memcmp(text + digits, written, 8) != 0)
        FAIL(ERR_FORMAT, "%s: crc32c is %.8s, but that of what is behind it is %s; it is damaged",
             path, text + digits, written);
out:
    return status;
}

static enum status check_format(const struct reading *reading, const json_t *root)
{
    enum status status = OK;
    const char *format = NULL, *path = reading->root.file;
    int64_t version = 0;
    TRY(json_field_string(&format, root, "format", reading->root));
    if (strcmp(format, MANIFEST_FORMAT) != 0)
        FAIL(ERR_FORMAT, "%s: format is \"%.40s\", not \"%s\"", path, format, MANIFEST_FORMAT);
    TRY(json_field_integer(&version, root, "version", 1, INT64_MAX, reading->root));
    if (version > MANIFEST_VERSION)
        FAIL(ERR_UNSUPPORTED,
             "%s: version is %" PRId64 ", newer than %d, the newest that this program reads; take "
             "a newer robin-dist",
             path, version, MANIFEST_VERSION);
    if (version < MANIFEST_VERSION)
        FAIL(ERR_FORMAT, "%s: version is %" PRId64 ", of which there are no manifests", path,
             version);
out:
    return status;
}

/* ---- files ---- */

/* Of the form that is written, so never a path: "data-00003-000.bin". */
static bool is_file_name(const char *name)
{
    if (strncmp(name, "data-", 5) != 0) return false;
    const size_t rank = strspn(name + 5, "0123456789");
    if (rank < 5 || rank > 9 || name[5 + rank] != '-') return false;
    const char *rest = name + 5 + rank + 1;
    const size_t part = strspn(rest, "0123456789");
    return part >= 3 && part <= 9 && strcmp(rest + part, ".bin") == 0;
}

static enum status read_blocks(const struct reading *reading, struct stored_file *file,
                               const json_t *entry, struct json_place place)
{
    enum status status = OK;
    json_t *crcs = NULL;
    const uint64_t block_bytes = (uint64_t)reading->block_bytes;
    const uint64_t wanted = (file->size + block_bytes - 1) / block_bytes;
    TRY(json_field(&crcs, entry, "crc32c", JSON_ARRAY, place));
    const size_t n = json_array_size(crcs);
    if (n != wanted)
        FAIL(ERR_FORMAT,
             "%s: %s: crc32c has %zu entries, but %" PRIu64 " bytes are %" PRIu64 " blocks",
             place.file, place.record, n, file->size, wanted);
    file->blocks = memory_new(n + 1, sizeof *file->blocks);
    file->n_blocks = (int64_t)n;
    for (size_t i = 0; i < n; i++) {
        const json_t *crc = json_array_get(crcs, i);
        const int64_t value = json_is_integer(crc) ? json_integer_value(crc) : -1;
        if (value < 0 || value > UINT32_MAX)
            FAIL(ERR_FORMAT, "%s: %s: crc32c[%zu] is no number of 32 bits", place.file,
                 place.record, i);
        const uint64_t start = i * block_bytes, left = file->size - start;
        file->blocks[i] = (struct stored_block){.start = start,
                                                .size = left < block_bytes ? left : block_bytes,
                                                .crc = (uint32_t)value};
    }
out:
    return status;
}

static enum status read_file(const struct reading *reading, struct stored_file *file,
                             const json_t *entry, struct json_place place)
{
    enum status status = OK;
    const char *name = NULL;
    int64_t size = 0;
    struct stat about;
    TRY(json_field_string(&name, entry, "name", place));
    if (!is_file_name(name))
        FAIL(ERR_FORMAT, "%s: %s: name is \"%.80s\", not of the form data-00000-000.bin",
             place.file, place.record, name);
    TRY(json_field_integer(&size, entry, "bytes", 1, (int64_t)CHECKPOINT_MAX_BYTES, place));
    file->path = path_join(reading->checkpoint->path, name);
    file->size = (uint64_t)size;
    if (stat(file->path, &about) != 0)
        FAIL(ERR_IO, "%s: %s: cannot open %s: %s", place.file, place.record, file->path,
             strerror(errno));
    if (!S_ISREG(about.st_mode) || about.st_size != size)
        FAIL(ERR_FORMAT, "%s: holds %" PRId64 " bytes but %s says %" PRId64, file->path,
             (int64_t)about.st_size, place.file, size);
    TRY(read_blocks(reading, file, entry, place));
out:
    return status;
}

static int compare_paths(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static enum status check_distinct(const struct reading *reading)
{
    enum status status = OK;
    const struct run_checkpoint *checkpoint = reading->checkpoint;
    const size_t n = (size_t)checkpoint->n_files;
    const char **paths = memory_new(n + 1, sizeof *paths);
    for (size_t i = 0; i < n; i++) paths[i] = checkpoint->files[i].path;
    if (n > 1) qsort(paths, n, sizeof *paths, compare_paths);
    for (size_t i = 1; i < n; i++)
        if (strcmp(paths[i - 1], paths[i]) == 0)
            FAIL(ERR_FORMAT, "%s: files: %s is there twice", reading->root.file, paths[i]);
out:
    free(paths);
    return status;
}

static enum status read_files(struct reading *reading, const json_t *root)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = reading->checkpoint;
    json_t *entries = NULL;
    TRY(json_field_integer(&reading->block_bytes, root, "block_bytes", MIN_BLOCK_BYTES,
                           MAX_BLOCK_BYTES, reading->root));
    if (reading->block_bytes % CHECKPOINT_ALIGNMENT != 0)
        FAIL(ERR_FORMAT, "%s: block_bytes is %" PRId64 ", no multiple of %d", reading->root.file,
             reading->block_bytes, CHECKPOINT_ALIGNMENT);
    TRY(json_field(&entries, root, "files", JSON_ARRAY, reading->root));
    const size_t n = json_array_size(entries);
    checkpoint->files = memory_new(n + 1, sizeof *checkpoint->files);
    checkpoint->n_files = (int64_t)n;
    for (size_t i = 0; i < n; i++) {
        char record[48];
        snprintf(record, sizeof record, "files[%zu]", i);
        TRY(read_file(reading, &checkpoint->files[i], json_array_get(entries, i),
                      (struct json_place){.file = reading->root.file, .record = record}));
    }
    TRY(check_distinct(reading));
out:
    return status;
}

/* ---- pieces ---- */

static enum status check_piece(const struct run_checkpoint *checkpoint,
                               const struct stored_piece *piece, struct json_place place)
{
    enum status status = OK;
    const struct checkpoint_tensor *tensor = &checkpoint->tensors[piece->tensor];
    const int64_t elements = checkpoint_tensor_size(tensor);
    const struct tensor_runs *runs = &piece->runs;
    const char *wrong = NULL;
    if (piece->file < 0 || piece->file >= checkpoint->n_files)
        FAIL(ERR_FORMAT, "%s: %s: file is %" PRId64 ", but there are %" PRId64, place.file,
             place.record, piece->file, checkpoint->n_files);
    const struct stored_file *file = &checkpoint->files[piece->file];
    if (runs->length < 1 || runs->length > elements || runs->n < 1 ||
        runs->n > elements / runs->length)
        wrong = "length and n do not fit the tensor";
    else if (runs->n == 1 ? runs->step != 0 : runs->step < runs->length || runs->step > elements)
        wrong = "step does not fit length and n";
    else if (runs->start < 0 || runs->start > elements - runs->length ||
             (runs->n > 1 && (elements - runs->length - runs->start) / (runs->n - 1) < runs->step))
        wrong = "it leaves the tensor";
    else if (piece->offset % CHECKPOINT_ALIGNMENT != 0)
        wrong = "offset is no multiple of 64";
    else if (piece->offset > file->size ||
             (uint64_t)tensor_runs_size(*runs) * checkpoint_element_bytes(tensor) >
                 file->size - piece->offset)
        wrong = "it leaves the file";
    if (wrong != NULL)
        FAIL(ERR_FORMAT,
             "%s: %s: [%" PRId64 ", %" PRIu64 ", %" PRId64 ", %" PRId64 ", %" PRId64 ", %" PRId64
             "] (file, offset, start, step, length, n): %s",
             place.file, place.record, piece->file, piece->offset, runs->start, runs->step,
             runs->length, runs->n, wrong);
out:
    return status;
}

static enum status read_piece(struct run_checkpoint *checkpoint, int64_t tensor, const json_t *row,
                              struct json_place place)
{
    enum status status = OK;
    int64_t numbers[PIECE_NUMBERS] = {0};
    if (!json_is_array(row) || json_array_size(row) != PIECE_NUMBERS)
        FAIL(ERR_FORMAT, "%s: %s: must be an array of %d numbers", place.file, place.record,
             PIECE_NUMBERS);
    for (size_t i = 0; i < PIECE_NUMBERS; i++) {
        const json_t *number = json_array_get(row, i);
        if (!json_is_integer(number) || json_integer_value(number) < 0)
            FAIL(ERR_FORMAT, "%s: %s: [%zu] must be an integer from 0", place.file, place.record,
                 i);
        numbers[i] = json_integer_value(number);
    }
    const struct stored_piece piece = {
        .tensor = tensor,
        .file = numbers[0],
        .offset = (uint64_t)numbers[1],
        .runs = {.start = numbers[2], .step = numbers[3], .length = numbers[4], .n = numbers[5]}};
    TRY(check_piece(checkpoint, &piece, place));
    checkpoint->pieces[checkpoint->n_pieces++] = piece;
out:
    return status;
}

static enum status read_tensor(struct reading *reading, int64_t t, const json_t *entry)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = reading->checkpoint;
    const char *dtype = NULL;
    json_t *pieces = NULL;
    char record[80];
    snprintf(record, sizeof record, "tensors[%" PRId64 "]", t);
    const struct json_place place = {.file = reading->root.file, .record = record};
    TRY(stored_tensor_read(&checkpoint->tensors[t], entry, place));
    TRY(json_field_string(&dtype, entry, "dtype", place));
    checkpoint->tensors[t].bf16 = strcmp(dtype, "bf16") == 0;
    if (!checkpoint->tensors[t].bf16 && strcmp(dtype, "f32") != 0)
        FAIL(ERR_UNSUPPORTED, "%s: %s: dtype is \"%.40s\", but this program reads f32 and bf16",
             place.file, place.record, dtype);
    TRY(json_field(&pieces, entry, "pieces", JSON_ARRAY, place));
    const size_t n = json_array_size(pieces);
    checkpoint->pieces = memory_resize(checkpoint->pieces, (size_t)checkpoint->n_pieces + n + 1,
                                       sizeof *checkpoint->pieces);
    for (size_t i = 0; i < n; i++) {
        snprintf(record, sizeof record, "tensors[%" PRId64 "]: pieces[%zu]", t, i);
        TRY(read_piece(checkpoint, t, json_array_get(pieces, i), place));
    }
out:
    return status;
}

static int compare_tensors(const void *a, const void *b)
{
    const struct checkpoint_tensor *const *x = a, *const *y = b;
    if ((*x)->part != (*y)->part) return (*x)->part < (*y)->part ? -1 : 1;
    return strcmp((*x)->name, (*y)->name);
}

static enum status read_tensors(struct reading *reading, const json_t *root)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = reading->checkpoint;
    const struct checkpoint_tensor **sorted = NULL;
    json_t *entries = NULL;
    TRY(json_field(&entries, root, "tensors", JSON_ARRAY, reading->root));
    const size_t n = json_array_size(entries);
    checkpoint->tensors = memory_new(n + 1, sizeof *checkpoint->tensors);
    checkpoint->n_tensors = (int64_t)n;
    checkpoint->pieces = memory_new(1, sizeof *checkpoint->pieces);
    for (size_t t = 0; t < n; t++)
        TRY(read_tensor(reading, (int64_t)t, json_array_get(entries, t)));
    sorted = memory_new(n + 1, sizeof *sorted);
    for (size_t t = 0; t < n; t++) sorted[t] = &checkpoint->tensors[t];
    if (n > 1) qsort(sorted, n, sizeof *sorted, compare_tensors);
    for (size_t t = 1; t < n; t++)
        if (compare_tensors(&sorted[t - 1], &sorted[t]) == 0)
            FAIL(ERR_FORMAT, "%s: tensors: %s %s is there twice", reading->root.file,
                 checkpoint_part_names[sorted[t]->part], sorted[t]->name);
out:
    free(sorted);
    return status;
}

static int compare_pieces(const void *a, const void *b)
{
    const struct stored_piece *x = a, *y = b;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

/* Gives each file its pieces; they lie one behind the other with less than an alignment between. */
static enum status place_pieces(struct reading *reading)
{
    enum status status = OK;
    struct run_checkpoint *checkpoint = reading->checkpoint;
    int64_t p = 0;
    if (checkpoint->n_pieces > 1)
        qsort(checkpoint->pieces, (size_t)checkpoint->n_pieces, sizeof *checkpoint->pieces,
              compare_pieces);
    for (int64_t f = 0; f < checkpoint->n_files; f++) {
        struct stored_file *file = &checkpoint->files[f];
        uint64_t end = 0;
        file->first_piece = p;
        for (; p < checkpoint->n_pieces && checkpoint->pieces[p].file == f; p++) {
            const struct stored_piece *piece = &checkpoint->pieces[p];
            const struct checkpoint_tensor *tensor = &checkpoint->tensors[piece->tensor];
            if (piece->offset != checkpoint_align(end))
                FAIL(ERR_FORMAT,
                     "%s: files[%" PRId64 "]: a piece of %s begins at %" PRIu64
                     ", but the one before it ends at %" PRIu64,
                     reading->root.file, f, tensor->name, piece->offset, end);
            end = piece->offset +
                  (uint64_t)tensor_runs_size(piece->runs) * checkpoint_element_bytes(tensor);
        }
        file->n_pieces = p - file->first_piece;
        if (end != file->size)
            FAIL(ERR_FORMAT,
                 "%s: files[%" PRId64 "]: bytes is %" PRIu64 ", but its pieces end at %" PRIu64,
                 reading->root.file, f, file->size, end);
    }
out:
    return status;
}

enum status manifest_read(struct run_checkpoint *checkpoint)
{
    enum status status = OK;
    char *path = path_join(checkpoint->path, CHECKPOINT_MANIFEST);
    unsigned char *text = NULL;
    size_t size = 0;
    json_t *progress = NULL, *about = NULL;
    struct reading reading = {.checkpoint = checkpoint, .root = {.file = path, .record = ""}};
    const struct json_place in_progress = {.file = path, .record = "progress"};
    TRY(file_read(&text, &size, path, MANIFEST_MAX_BYTES));
    TRY(check_crc((const char *)text, size, path));
    TRY(json_line_parse(&checkpoint->root, (const char *)text, size, path, 1));
    TRY(check_format(&reading, checkpoint->root));
    TRY(json_field(&progress, checkpoint->root, "progress", JSON_OBJECT, reading.root));
    TRY(stored_progress_read(&checkpoint->progress, progress, in_progress));
    TRY(json_field(&about, checkpoint->root, "run", JSON_OBJECT, reading.root));
    TRY(read_files(&reading, checkpoint->root));
    TRY(read_tensors(&reading, checkpoint->root));
    TRY(place_pieces(&reading));
    TRY(pieces_check(checkpoint));
out:
    free(text);
    free(path);
    return status;
}
