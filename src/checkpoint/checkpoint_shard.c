/* Layout and writing of one rank's data files. */
#include "checkpoint/checkpoint_shard.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "checkpoint/manifest.h"
#include "checkpoint/stored_checkpoint.h"

#define DEFAULT_FILE_BYTES ((uint64_t)4 << 30)

struct placed_source {
    struct checkpoint_source source;
    int64_t file;
    uint64_t offset;
};

struct data_file {
    uint64_t size;
    uint64_t snapshot; /* where its copy begins */
    int64_t first, n;  /* sources */
};

struct checkpoint_shard {
    struct placed_source *sources;
    struct data_file *files;
    int64_t n_sources, n_files;
};

static uint64_t source_bytes(const struct checkpoint_source *source)
{
    return (uint64_t)tensor_runs_size(source->runs) * sizeof(float);
}

static uint64_t align_file(uint64_t bytes)
{
    return (bytes + FILE_LAYER_ALIGNMENT - 1) / FILE_LAYER_ALIGNMENT * FILE_LAYER_ALIGNMENT;
}

struct checkpoint_shard *checkpoint_shard_create(const struct checkpoint_source *sources, int64_t n,
                                                 uint64_t file_bytes)
{
    struct checkpoint_shard *shard = memory_new(1, sizeof *shard);
    const uint64_t limit = file_bytes > 0 ? file_bytes : DEFAULT_FILE_BYTES;
    struct data_file *file = NULL;
    shard->sources = memory_new((size_t)n + 1, sizeof *shard->sources);
    shard->n_sources = n;
    for (int64_t i = 0; i < n; i++) {
        const uint64_t bytes = source_bytes(&sources[i]);
        uint64_t offset = file == NULL ? 0 : checkpoint_align(file->size);
        if (file == NULL || offset + bytes > limit) {
            const uint64_t snapshot = file == NULL ? 0 : file->snapshot + align_file(file->size);
            shard->files =
                memory_resize(shard->files, (size_t)shard->n_files + 1, sizeof *shard->files);
            file = &shard->files[shard->n_files++];
            *file = (struct data_file){.first = i, .snapshot = snapshot};
            offset = 0;
        }
        shard->sources[i] = (struct placed_source){sources[i], shard->n_files - 1, offset};
        file->size = offset + bytes;
        file->n++;
    }
    return shard;
}

void checkpoint_shard_destroy(struct checkpoint_shard *shard)
{
    if (shard == NULL) return;
    free(shard->files);
    free(shard->sources);
    free(shard);
}

uint64_t checkpoint_shard_bytes(const struct checkpoint_shard *shard)
{
    uint64_t bytes = 0;
    for (int64_t f = 0; f < shard->n_files; f++) bytes += shard->files[f].size;
    return bytes;
}

size_t checkpoint_shard_snapshot_bytes(const struct checkpoint_shard *shard)
{
    if (shard->n_files == 0) return 0;
    const struct data_file *last = &shard->files[shard->n_files - 1];
    return (size_t)(last->snapshot + align_file(last->size));
}

/* ---- copying ---- */

/* Elements first .. end - 1 of what the source gives, to `out`. */
static void copy_elements(float *out, const struct checkpoint_source *source, int64_t first,
                          int64_t end)
{
    const int64_t length = source->runs.length;
    for (int64_t e = first; e < end;) {
        const int64_t run = e / length, within = e % length;
        const int64_t left = length - within;
        const int64_t n = left < end - e ? left : end - e;
        memcpy(out + (e - first), source->data + run * source->data_step + within,
               (size_t)n * sizeof *out);
        e += n;
    }
}

/* Bytes from .. to - 1 of the file, which are multiples of MANIFEST_BLOCK_BYTES or its end, hence
 * of elements.*/
static void copy_bytes(unsigned char *out, const struct checkpoint_shard *shard,
                       const struct data_file *file, uint64_t from, uint64_t to)
{
    memset(out, 0, (size_t)(to - from));
    for (int64_t i = file->first; i < file->first + file->n; i++) {
        const struct placed_source *placed = &shard->sources[i];
        const uint64_t start = placed->offset, end = start + source_bytes(&placed->source);
        const uint64_t low = from > start ? from : start, high = to < end ? to : end;
        if (start >= to) break;
        if (low < high)
            copy_elements((float *)(out + (low - from)), &placed->source,
                          (int64_t)((low - start) / sizeof(float)),
                          (int64_t)((high - start) / sizeof(float)));
    }
}

void checkpoint_shard_snapshot(const struct checkpoint_shard *shard, unsigned char *snapshot)
{
    for (int64_t f = 0; f < shard->n_files; f++) {
        const struct data_file *file = &shard->files[f];
        unsigned char *start = snapshot + file->snapshot;
        uint64_t end = 0;
        for (int64_t i = file->first; i < file->first + file->n; i++) {
            const struct placed_source *placed = &shard->sources[i];
            memset(start + end, 0, (size_t)(placed->offset - end));
            copy_elements((float *)(start + placed->offset), &placed->source, 0,
                          tensor_runs_size(placed->source.runs));
            end = placed->offset + source_bytes(&placed->source);
        }
        memset(start + end, 0, (size_t)(align_file(end) - end));
    }
}

/* ---- writing ---- */

struct writer {
    const struct checkpoint_shard *shard;
    const struct shard_writing *writing;
    unsigned char *chunk;
    struct text_buffer fragment;
};

static const unsigned char *chunk_bytes(struct writer *writer, const struct data_file *file,
                                        uint64_t from, uint64_t to)
{
    if (writer->writing->snapshot != NULL) return writer->writing->snapshot + file->snapshot + from;
    copy_bytes(writer->chunk, writer->shard, file, from, to);
    memset(writer->chunk + (to - from), 0, (size_t)(align_file(to) - to));
    return writer->chunk;
}

static enum status write_chunks(struct writer *writer, const struct data_file *file,
                                struct layer_file *out, bool direct)
{
    enum status status = OK;
    for (uint64_t from = 0; from < file->size; from += SHARD_CHUNK_BYTES) {
        const uint64_t to =
            from + SHARD_CHUNK_BYTES < file->size ? from + SHARD_CHUNK_BYTES : file->size;
        const unsigned char *bytes = chunk_bytes(writer, file, from, to);
        for (uint64_t at = from; at < to; at += MANIFEST_BLOCK_BYTES) {
            const uint64_t left = to - at;
            const size_t n = (size_t)(left < MANIFEST_BLOCK_BYTES ? left : MANIFEST_BLOCK_BYTES);
            text_printf(&writer->fragment, ",%" PRIu32, crc32c(0, bytes + (at - from), n));
        }
        const uint64_t end = direct ? align_file(to) : to;
        TRY(layer_file_write(out, bytes, (size_t)(end - from), from));
    }
    if (direct && file->size % FILE_LAYER_ALIGNMENT != 0) TRY(layer_file_truncate(out, file->size));
out:
    return status;
}

static enum status write_file(struct writer *writer, int64_t f)
{
    enum status status = OK;
    const struct data_file *file = &writer->shard->files[f];
    struct layer_file out = {.fd = -1};
    bool direct = writer->writing->direct;
    char *name = manifest_file_name(writer->writing->rank, f);
    char *path = path_join(writer->writing->folder, name);
    TRY(layer_file_create(&out, writer->writing->layer, path, &direct));
    text_printf(&writer->fragment, "%s[%" PRIu64, f > 0 ? "," : "", file->size);
    TRY(write_chunks(writer, file, &out, direct));
    text_append(&writer->fragment, "]");
    TRY(layer_file_finish(&out));
out:
    layer_file_abandon(&out);
    free(path);
    free(name);
    return status;
}

static void put_pieces(struct writer *writer)
{
    text_append(&writer->fragment, "],\"pieces\":[");
    for (int64_t i = 0; i < writer->shard->n_sources; i++) {
        const struct placed_source *placed = &writer->shard->sources[i];
        const struct tensor_runs *runs = &placed->source.runs;
        text_printf(&writer->fragment,
                    "%s[%" PRId64 ",%" PRId64 ",%" PRIu64 ",%" PRId64 ",%" PRId64 ",%" PRId64
                    ",%" PRId64 "]",
                    i > 0 ? "," : "", placed->source.tensor, placed->file, placed->offset,
                    runs->start, runs->step, runs->length, runs->n);
    }
    text_append(&writer->fragment, "]}");
}

enum status checkpoint_shard_write(const struct checkpoint_shard *shard,
                                   const struct shard_writing *writing, char **fragment_out)
{
    enum status status = OK;
    struct writer writer = {.shard = shard, .writing = writing};
    if (writing->snapshot == NULL && shard->n_files > 0) {
        writer.chunk = aligned_alloc(FILE_LAYER_ALIGNMENT, SHARD_CHUNK_BYTES);
        if (writer.chunk == NULL) FAIL(ERR_MEMORY, "no memory to write a checkpoint");
    }
    text_append(&writer.fragment, "{\"files\":[");
    for (int64_t f = 0; f < shard->n_files; f++) TRY(write_file(&writer, f));
    if (shard->n_files > 0) TRY(layer_sync_directory(writing->layer, writing->folder));
    put_pieces(&writer);
    *fragment_out = text_take(&writer.fragment);
out:
    text_release(&writer.fragment);
    free(writer.chunk);
    return status;
}
