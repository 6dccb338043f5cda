/* How fast the loader brings pictures (read from shards, checked, conversation drawn and tokenised,
 * decoded, resized, normalised, masks on their grids) beside nothing but libjpeg-turbo's decoding
 * of the same photographs, and beside decoding them with the resize and the normalisation in a bare
 * loop: images per second of one core, that is of processor time, each in turn. */
#include <glob.h>
#include <stdio.h> /* jpeglib.h needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

#include "base/allocator.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "image/image.h"
#include "support/bench.h"
#include "support/corpus_records.h"
#include "train/corpus_source.h"

enum {
    GLOBAL_BATCH = 12,
    TIMES = 3,
    ROUNDS = 8,
    REGIONS = 4,
    MAX_FILE = 1 << 24
}; /* each photograph TIMES times */

struct photographs {
    int64_t n, n_read;
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
        photographs->n = ++photographs->n_read;
    }
out:
    globfree(&found);
    return status;
}

static void photographs_release(struct photographs *photographs)
{
    for (int64_t i = 0; i < photographs->n_read; i++) free(photographs->bytes[i]);
    free(photographs->bytes);
    free(photographs->sizes);
}

/* ---- nothing but decoding ---- */

static void decode(const struct photographs *photographs, int64_t i)
{
    struct jpeg_decompress_struct codec;
    struct jpeg_error_mgr errors;
    codec.err = jpeg_std_error(&errors);
    jpeg_create_decompress(&codec);
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

static void decode_all(void *context)
{
    const struct photographs *photographs = context;
    for (int64_t i = 0; i < TIMES * photographs->n; i++) decode(photographs, i % photographs->n);
}

/* ---- decoding, resizing, normalising ---- */

struct pixels {
    const struct photographs *photographs;
    int64_t side;
    float *pixels; /* [side, side, 3] */
};

static void must(enum status status)
{
    if (status == OK) return;
    fprintf(stderr, "error: %s\n", status_message());
    exit(1);
}

static void make_all(void *context)
{
    struct pixels *p = context;
    for (int64_t i = 0; i < TIMES * p->photographs->n; i++) {
        const int64_t k = i % p->photographs->n;
        const struct image_source source = {p->photographs->bytes[k], p->photographs->sizes[k],
                                            "photograph"};
        must(image_preprocess(p->pixels, source, IMAGE_MODE_PAD, p->side, p->side));
    }
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
    struct model_config config;
    struct corpus *corpus;
    struct tokenizer *tokenizer;
    struct order *order;
    struct corpus_entry entry;
    struct corpus_source source;
    const struct task *tasks[1];
    struct loader_options options;
};

static enum status load_steps(struct loading *l)
{
    enum status status = OK;
    struct loader *loader = NULL;
    const struct global_batch *batch;
    TRY(loader_create(&loader, &l->options));
    for (int step = 0; step < l->options.end_step; step++) {
        TRY(loader_next_batch(loader, &batch));
        for (int64_t m = 0; m < batch->n_mine; m++) {
            struct micro_batch *micro;
            TRY(loader_next_micro(loader, &micro));
            micro_batch_destroy(micro);
        }
    }
out:
    loader_destroy(loader);
    return status;
}

static void load_all(void *context)
{
    must(load_steps(context));
}

/* A loader over the corpus in `folder`, for a model of pictures `side` pixels a side. */
static enum status loading_open(struct loading *l, struct comm *comm, int64_t side,
                                const char *folder, const char *tokenizer_folder)
{
    enum status status = OK;
    l->config = (struct model_config){
        .image_height = side, .image_width = side, .extractor = {.mask_side = 112}};
    TRY(corpus_open(&l->corpus, folder));
    TRY(tokenizer_open(&l->tokenizer, tokenizer_folder));
    const struct order_source drawn = {
        .name = "bench", .n_records = corpus_size(l->corpus), .n_tasks = 1, .weight = 1};
    TRY(order_create(&l->order, 1, GLOBAL_BATCH, &drawn, 1));
    l->tasks[0] = task_find("sg");
    l->entry = (struct corpus_entry){
        .corpus = l->corpus, .tasks = l->tasks, .n_tasks = 1, .options = task_options_default()};
    l->source = (struct corpus_source){.entries = &l->entry, .tokenizer = l->tokenizer, .seed = 1};
    l->options = (struct loader_options){.comm = comm,
                                         .order = l->order,
                                         .source = corpus_source_samples(&l->source),
                                         .config = &l->config,
                                         .rows = {.mask_id = tokenizer_id(l->tokenizer, "<mask>"),
                                                  .vocab = tokenizer_size(l->tokenizer),
                                                  .image_rows = (side / 16) * (side / 16),
                                                  .max_length = 4096},
                                         .pack = {.mode = PACK_BALANCED,
                                                  .n_ranks = 1,
                                                  .limits = {4, 64, 4, 16384, 16384},
                                                  .cost = {.token = 1, .image = 1}},
                                         .image_mode = IMAGE_MODE_PAD,
                                         .n_threads = 1, /* as its rivals */
                                         .prefetch = 4,
                                         .end_step = TIMES * corpus_size(l->corpus) / GLOBAL_BATCH};
out:
    return status;
}

static void loading_release(struct loading *l)
{
    order_destroy(l->order);
    tokenizer_close(l->tokenizer);
    corpus_close(l->corpus);
}

static enum status measure(const struct photographs *photographs, struct comm *comm,
                           const char *corpus, const char *tokenizer)
{
    static const int64_t sides[] = {256, 512};
    enum status status = OK;
    struct loading loading[2] = {0};
    struct pixels pixels[2] = {0};
    struct bench_contestant contestants[5] = {{decode_all, (void *)(uintptr_t)photographs, 0}};
    for (int i = 0; i < 2; i++) {
        TRY(loading_open(&loading[i], comm, sides[i], corpus, tokenizer));
        pixels[i] = (struct pixels){photographs, sides[i], bench_floats(sides[i] * sides[i] * 3)};
        contestants[1 + 2 * i] = (struct bench_contestant){make_all, &pixels[i], 0};
        contestants[2 + 2 * i] = (struct bench_contestant){load_all, &loading[i], 0};
    }
    bench_side_by_side(contestants, 5, ROUNDS);
    const double n = (double)(TIMES * photographs->n), bare = contestants[0].seconds;
    bench_row("libjpeg-turbo alone", "one core", "%7.1f images/s", n / bare);
    for (int i = 0; i < 2; i++) {
        char *size = text_format("%d x %d, one core", (int)sides[i], (int)sides[i]);
        const double made = contestants[1 + 2 * i].seconds, loaded = contestants[2 + 2 * i].seconds;
        bench_row("decode, resize, normalise", size, "%7.1f images/s = %.0f %% of libjpeg-turbo",
                  n / made, 100 * bare / made);
        bench_row("loader", size,
                  "%7.1f images/s = %.0f %% of libjpeg-turbo, %.0f %% of decode, resize, normalise",
                  n / loaded, 100 * bare / loaded, 100 * made / loaded);
        free(size);
    }
out:
    for (int i = 0; i < 2; i++) {
        loading_release(&loading[i]);
        free(pixels[i].pixels);
    }
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
    struct photographs photographs = {0};
    struct comm *comm = NULL;
    TRY(comm_create(&comm, NULL));
    TRY(photographs_read(&photographs, pattern));
    if (photographs.n == 0) {
        bench_row("loader", "photographs", "skipped: no %s", pattern);
        goto out;
    }
    photographs.n -= photographs.n % GLOBAL_BATCH; /* whole epochs */
    TRY(write_corpus(corpus, &photographs));
    TRY(measure(&photographs, comm, corpus, tokenizer));
out:
    if (status != OK) fprintf(stderr, "error: %s\n", status_message());
    comm_destroy(comm);
    photographs_release(&photographs);
    directory_remove(folder);
    free(pattern);
    free(tokenizer);
    free(corpus);
    free(folder);
    return status == OK ? 0 : 1;
}
