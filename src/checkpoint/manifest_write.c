/* From what the ranks wrote to the text of the manifest. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/json_file.h"
#include "checkpoint/manifest.h"

#define PIECE_NUMBERS 7

char *manifest_file_name(int64_t rank, int64_t part)
{
    return text_format("data-%05" PRId64 "-%03" PRId64 ".bin", rank, part);
}

struct collection { /* of all ranks */
    struct manifest_piece *pieces;
    int64_t n_pieces, n_files;
};

static enum status read_piece(struct manifest_piece *piece, const json_t *row, int64_t n_tensors,
                              const char *who)
{
    enum status status = OK;
    int64_t numbers[PIECE_NUMBERS];
    if (json_array_size(row) != PIECE_NUMBERS)
        FAIL(ERR_FORMAT, "%s: a piece has %zu numbers", who, json_array_size(row));
    for (size_t i = 0; i < PIECE_NUMBERS; i++)
        numbers[i] = json_integer_value(json_array_get(row, i));
    if (numbers[0] < 0 || numbers[0] >= n_tensors)
        FAIL(ERR_FORMAT, "%s: a piece of tensor %" PRId64 " of %" PRId64, who, numbers[0],
             n_tensors);
    *piece = (struct manifest_piece){
        .tensor = numbers[0],
        .file = numbers[1],
        .offset = (uint64_t)numbers[2],
        .runs = {.start = numbers[3], .step = numbers[4], .length = numbers[5], .n = numbers[6]}};
out:
    return status;
}

/* Writes the rank's rows of "files", keeps its pieces. */
static enum status add_rank(struct text_buffer *out, struct collection *all,
                            const struct manifest_header *header, const char *fragment,
                            int64_t rank)
{
    enum status status = OK;
    json_t *root = NULL, *files = NULL, *pieces = NULL;
    char *who = text_format("what rank %" PRId64 " wrote", rank);
    const struct json_place place = {.file = who, .record = ""};
    TRY(json_line_parse(&root, fragment, strlen(fragment), who, 1));
    TRY(json_field(&files, root, "files", JSON_ARRAY, place));
    TRY(json_field(&pieces, root, "pieces", JSON_ARRAY, place));
    const size_t n_files = json_array_size(files), n = json_array_size(pieces);
    all->pieces = memory_resize(all->pieces, (size_t)all->n_pieces + n + 1, sizeof *all->pieces);
    for (size_t i = 0; i < n; i++) {
        struct manifest_piece *piece = &all->pieces[all->n_pieces++];
        TRY(read_piece(piece, json_array_get(pieces, i), header->n_tensors, who));
        piece->file += all->n_files;
    }
    for (size_t i = 0; i < n_files; i++) {
        const json_t *row = json_array_get(files, i);
        char *name = manifest_file_name(rank, (int64_t)i);
        text_printf(out, "%s\n{\"name\":\"%s\",\"bytes\":%lld,\"crc32c\":[",
                    all->n_files + (int64_t)i > 0 ? "," : "", name,
                    (long long)json_integer_value(json_array_get(row, 0)));
        for (size_t block = 1; block < json_array_size(row); block++)
            text_printf(out, "%s%lld", block > 1 ? "," : "",
                        (long long)json_integer_value(json_array_get(row, block)));
        text_append(out, "]}");
        free(name);
    }
    all->n_files += (int64_t)n_files;
out:
    json_decref(root);
    free(who);
    return status;
}

static int compare_pieces(const void *a, const void *b)
{
    const struct manifest_piece *x = a, *y = b;
    if (x->tensor != y->tensor) return x->tensor < y->tensor ? -1 : 1;
    if (x->file != y->file) return x->file < y->file ? -1 : 1;
    return (x->offset > y->offset) - (x->offset < y->offset);
}

static void put_tensors(struct text_buffer *out, const struct manifest_header *header,
                        const struct collection *all)
{
    int64_t p = 0;
    text_append(out, "\"tensors\":[");
    for (int64_t t = 0; t < header->n_tensors; t++) {
        const struct checkpoint_tensor *tensor = &header->tensors[t];
        json_t *name = json_string(tensor->name);
        char *quoted = json_dumps(name, JSON_ENCODE_ANY);
        text_printf(out, "%s\n{\"name\":%s,\"part\":\"%s\",\"dtype\":\"f32\",\"dims\":[",
                    t > 0 ? "," : "", quoted != NULL ? quoted : "\"\"",
                    checkpoint_part_names[tensor->part]);
        for (int d = 0; d < tensor->n_dims; d++)
            text_printf(out, "%s%" PRId64, d > 0 ? "," : "", tensor->dims[d]);
        text_append(out, "],\"pieces\":[");
        for (const int64_t first = p; p < all->n_pieces && all->pieces[p].tensor == t; p++) {
            const struct manifest_piece *piece = &all->pieces[p];
            text_printf(
                out, "%s[%" PRId64 ",%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 "]",
                p > first ? "," : "", piece->file, piece->offset, piece->runs.start,
                piece->runs.step, piece->runs.length, piece->runs.n);
        }
        text_append(out, "]}");
        free(quoted);
        json_decref(name);
    }
    text_append(out, "]");
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

static char *progress_text(const struct run_progress *progress)
{
    json_t *object = json_object();
    json_object_set_new(object, "step", json_integer(progress->step));
    json_object_set_new(object, "skipped_steps", json_integer(progress->skipped_steps));
    json_object_set_new(object, "mean_steps", json_integer(progress->means.n));
    set_bits(object, "mean_loss", progress->means.loss);
    set_bits(object, "mean_norm", progress->means.norm);
    json_object_set_new(object, "samples", json_integer(progress->samples));
    set_hash(object, "order_hash", progress->order_hash);
    set_hash(object, "order_key", progress->order_key);
    set_hash(object, "config_hash", progress->config_hash);
    char *text = json_dumps(object, JSON_COMPACT);
    json_decref(object);
    return text;
}

/* The CRC of what is behind it, into the place that was kept for it. */
static void put_crc(struct text_buffer *out)
{
    char crc[9];
    snprintf(crc, sizeof crc, "%08" PRIx32,
             crc32c(0, out->text + MANIFEST_CRC_BYTES, out->length - MANIFEST_CRC_BYTES));
    memcpy(out->text + strlen("{\"crc32c\":\""), crc, 8);
}

enum status manifest_write(struct text_buffer *out, const struct manifest_header *header,
                           char *const *fragments, int64_t n_ranks)
{
    enum status status = OK;
    struct collection all = {0};
    char *progress = progress_text(&header->progress);
    char *about = json_dumps(header->about, JSON_COMPACT);
    if (progress == NULL || about == NULL) FAIL(ERR_MEMORY, "no memory for the manifest");
    text_append(out, "{\"crc32c\":\"00000000\",");
    text_printf(out, "\"format\":\"%s\",\"version\":%d,\n\"progress\":%s,\n\"run\":%s,\n",
                MANIFEST_FORMAT, MANIFEST_VERSION, progress, about);
    text_printf(out, "\"block_bytes\":%" PRIu64 ",\n\"files\":[", MANIFEST_BLOCK_BYTES);
    for (int64_t rank = 0; rank < n_ranks; rank++)
        TRY(add_rank(out, &all, header, fragments[rank], rank));
    text_append(out, "],\n");
    if (all.n_pieces > 1)
        qsort(all.pieces, (size_t)all.n_pieces, sizeof *all.pieces, compare_pieces);
    put_tensors(out, header, &all);
    text_append(out, "}\n");
    put_crc(out);
out:
    free(all.pieces);
    free(about);
    free(progress);
    return status;
}
