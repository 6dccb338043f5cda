/* How fast the loader brings pictures (read from shards, checked, conversation drawn and tokenised,
 * decoded, resized, normalised, masks on their grids) beside nothing but libjpeg-turbo's decoding
 * of the same photographs on the same number of threads. */
#include <glob.h>
#include <stdio.h> /* jpeglib.h needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/allocator.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "base/thread_pool.h"
#include "device/stream.h"
#include "support/bench.h"
#include "support/corpus_records.h"
#include "train/corpus_source.h"

enum { GLOBAL_BATCH = 16, STEPS = 40, REGIONS = 4, MAX_FILE = 1 << 24 };

struct photographs {
    int64_t n;
    unsigned char **bytes;
    size_t *sizes;
};

static enum status photographs_read(struct photographs *photographs, const char *pattern)
{
    enum status status = OK;
    glob_t found = {0};
    if (glob(pattern, 0, NULL, &found) != 0) goto out;
    photographs->bytes = memory_new(found.gl_pathc, sizeof *photographs->bytes);
    photographs->sizes = memory_new(found.gl_pathc, sizeof *photographs->sizes);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        TRY(file_read(&photographs->bytes[i], &photographs->sizes[i], found.gl_pathv[i], MAX_FILE));
        photographs->n++;
    }
out:
    globfree(&found);
    return status;
}

static void photographs_release(struct photographs *photographs)
{
    for (int64_t i = 0; i < photographs->n; i++) free(photographs->bytes[i]);
    free(photographs->bytes);
    free(photographs->sizes);
}

/* ---- nothing but decoding ---- */

static void decode(void *argument, int64_t block, int worker)
{
    (void)worker;
    const struct photographs *photographs = argument;
    struct jpeg_decompress_struct codec;
    struct jpeg_error_mgr errors;
    codec.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&codec);
    int64_t i = block % photographs->n;
    jpeg_mem_src(&codec, photographs->bytes[i], (unsigned long)photographs->sizes[i]);
    jpeg_read_header(&codec, TRUE);
    codec.out_color_space = JCS_RGB;
    jpeg_start_decompress(&codec);
    JSAMPLE *row = memory_new((size_t)codec.output_width * 3, 1);
    while (codec.output_scanline < codec.output_height) jpeg_read_scanlines(&codec, &row, 1);
    jpeg_finish_decompress(&codec);
    free(row);
    jpeg_destroy_decompress(&codec);
}

struct decoding {
    struct stream *stream;
    struct photographs *photographs;
};

static void decode_all(void *context)
{
    struct decoding *d = context;
    thread_pool_run(d->stream->pool, GLOBAL_BATCH * STEPS, decode, d->photographs);
}

/* ---- the loader ---- */

/* A photograph with boxes in a row, each a thing beside the next. */
static enum status add_record(struct corpus_writer *writer, const struct photographs *photographs,
                              int64_t i)
{
    enum status status = OK;
    struct record_region regions[REGIONS] = {0};
    struct record_object objects[REGIONS] = {0};
    struct record_relation relations[REGIONS - 1] = {0};
    struct record record = {.source = "bench",
                            .image = photographs->bytes[i],
                            .image_size = photographs->sizes[i],
                            .regions = regions,
                            .n_regions = REGIONS,
                            .objects = objects,
                            .n_objects = REGIONS,
                            .relations = relations,
                            .n_relations = REGIONS - 1};
    record.id = text_format("bench/%lld", (long long)i);
    TRY(image_probe(&record.height, &record.width, record.image, record.image_size, record.id));
    for (int64_t r = 0; r < REGIONS; r++) {
        double left = (double)(r * record.width / REGIONS), width = (double)record.width / REGIONS;
        regions[r].box = (struct box){left, 4, left + width / 2 + 1, (double)record.height - 4};
        TRY(rle_from_box(&regions[r].mask, regions[r].box, record.height, record.width));
        objects[r] = (struct record_object){.name = "thing", .region = r};
        if (r > 0)
            relations[r - 1] = (struct record_relation){
                .subject = r - 1, .object = r, .predicate = "to the left of", .kind = "spatial"};
    }
    TRY(corpus_writer_add(writer, &record));
out:
    for (int64_t r = 0; r < REGIONS; r++) rle_release(&regions[r].mask);
    free(record.id);
    return status;
}

static enum status write_corpus(const char *folder, const struct photographs *photographs)
{
    enum status status = OK;
    struct corpus_writer *writer = NULL;
    TRY(corpus_writer_create(&writer, folder, "bench", 1 << 26));
    for (int64_t i = 0; i < photographs->n; i++) TRY(add_record(writer, photographs, i));
    TRY(corpus_writer_commit(writer));
out:
    corpus_writer_destroy(writer);
    return status;
}

struct loading {
    struct loader_options options;
    int64_t n_images;
};

static enum status load_steps(struct loading *l)
{
    enum status status = OK;
    struct loader *loader = NULL;
    const struct global_batch *batch;
    l->n_images = 0;
    TRY(loader_create(&loader, &l->options));
    for (int step = 0; step < STEPS; step++) {
        TRY(loader_next_batch(loader, &batch));
        for (int64_t m = 0; m < batch->n_mine; m++) {
            struct micro_batch *micro;
            TRY(loader_next_micro(loader, &micro));
            l->n_images += micro->batch.n_images;
            micro_batch_destroy(micro);
        }
    }
out:
    loader_destroy(loader);
    return status;
}

static void load_all(void *context)
{
    if (load_steps(context) == OK) return;
    fprintf(stderr, "error: %s\n", status_message());
    exit(1);
}

/* A run of the loader over the corpus in `folder`, for a model of pictures `side` pixels a side. */
static enum status measure_loader(double *images_per_second_out, struct comm *comm, int64_t side,
                                  const char *folder, const char *tokenizer_folder)
{
    enum status status = OK;
    const struct model_config config = {
        .image_height = side, .image_width = side, .extractor = {.mask_side = 112}};
    struct corpus *corpus = NULL;
    struct order *order = NULL;
    struct tokenizer *tokenizer = NULL;
    const struct task *tasks[] = {task_find("sg")};
    TRY(corpus_open(&corpus, folder));
    TRY(tokenizer_open(&tokenizer, tokenizer_folder));
    struct order_source drawn = {
        .name = "bench", .n_records = corpus_size(corpus), .n_tasks = 1, .weight = 1};
    TRY(order_create(&order, 1, GLOBAL_BATCH, &drawn, 1));
    struct corpus_entry entry = {
        .corpus = corpus, .tasks = tasks, .n_tasks = 1, .options = task_options_default()};
    struct corpus_source source = {.entries = &entry, .tokenizer = tokenizer, .seed = 1};
    struct loading l = {.options = {.comm = comm,
                                    .order = order,
                                    .source = corpus_source_samples(&source),
                                    .config = &config,
                                    .rows = {.mask_id = tokenizer_id(tokenizer, "<mask>"),
                                             .vocab = tokenizer_size(tokenizer),
                                             .image_rows = (side / 16) * (side / 16),
                                             .max_length = 4096},
                                    .pack = {.mode = PACK_BALANCED,
                                             .n_ranks = 1,
                                             .limits = {4, 64, 4, 16384, 16384},
                                             .cost = {.token = 1, .image = 1}},
                                    .image_mode = IMAGE_MODE_PAD,
                                    .n_threads = bench_threads(),
                                    .prefetch = 4,
                                    .end_step = STEPS}};
    double seconds = bench_seconds(load_all, &l);
    *images_per_second_out = (double)l.n_images / seconds;
out:
    order_destroy(order);
    tokenizer_close(tokenizer);
    corpus_close(corpus);
    return status;
}

int main(void)
{
    allocator_keep_blocks(); /* as the program does */
    enum status status = OK;
    const char *shared = getenv("ROBIN_SHARED");
    if (shared == NULL) shared = "../shared";
    char *pattern = text_format("%s/data/coco_panoptic/images/*.jpg", shared);
    char *tokenizer = text_format("%s/data/qwen2-tokenizer", shared);
    char *folder = test_folder(), *corpus = text_format("%s/corpus", folder);
    char *threads = text_format("%d threads", bench_threads());
    struct photographs photographs = {0};
    struct decoding decoding = {.photographs = &photographs};
    struct comm *comm = NULL;
    TRY(comm_create(&comm, NULL));
    TRY(photographs_read(&photographs, pattern));
    if (photographs.n == 0) {
        bench_row("loader", "photographs", "skipped: no %s", pattern);
        goto out;
    }
    TRY(stream_create(&decoding.stream, bench_threads()));
    double bare = GLOBAL_BATCH * STEPS / bench_seconds(decode_all, &decoding), loader = 0;
    TRY(write_corpus(corpus, &photographs));
    bench_row("libjpeg-turbo alone", threads, "%7.1f images/s", bare);
    TRY(measure_loader(&loader, comm, 256, corpus, tokenizer));
    bench_row("loader, 256 x 256", threads, "%7.1f images/s = %.0f %% of libjpeg-turbo", loader,
              100 * loader / bare);
    TRY(measure_loader(&loader, comm, 512, corpus, tokenizer));
    bench_row("loader, 512 x 512", threads, "%7.1f images/s = %.0f %% of libjpeg-turbo", loader,
              100 * loader / bare);
out:
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    comm_destroy(comm);
    stream_destroy(decoding.stream);
    photographs_release(&photographs);
    directory_remove(folder);
    free(pattern);
    free(tokenizer);
    free(corpus);
    free(folder);
    free(threads);
    return status == OK ? 0 : 1;
}
