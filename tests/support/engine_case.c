/* See engine_case.h. */
#include "engine_case.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/assertion.h"
#include "base/text_buffer.h"
#include "corpus/region_mask.h"
#include "corpus/scenes.h"
#include "device/device.h"
#include "device/stream.h"
#include "kernels.h"
#include "support/tiny_robin.h"

void engine_case_ok(enum status status)
{
    ASSERT(status == OK, "%s: %s", status_name(status), status_message());
}

static void make_model(struct engine_case *made, const char *table)
{
    struct model_config config = tiny_config();
    config.image_height = config.image_width = 64;
    config.lm.vocab = 576;
    config.lm.max_positions = 640;
    config.lm.layers = 2;
    const struct model_options options = {.limits = {.max_images = 1,
                                                     .max_regions = 20,
                                                     .max_sequences = 1,
                                                     .max_tokens = 640,
                                                     .max_targets = 640}};
    const struct kernels *kernels = kernels_find(table);
    ASSERT(kernels != NULL, "there is no table %s", table);
    engine_case_ok(device_open(&made->device, kernels->device, 0));
    engine_case_ok(device_stream(made->device, &made->stream, 2));
    engine_case_ok(model_create(&made->model, &config, &options, kernels, made->stream));
    parameters_fill(model_weights(made->model), model_parameters(made->model), 4);
}

void engine_case_init(struct engine_case *made)
{
    engine_case_init_on(made, "cpu");
}

void engine_case_init_on(struct engine_case *made, const char *table)
{
    struct scenes_options scenes = scenes_options_default();
    *made = (struct engine_case){0};
    scenes.size = 96;
    engine_case_ok(tokenizer_open(&made->tokenizer, "datasets/tokenizer-scenes"));
    make_model(made, table);
    for (int64_t i = 0; i < ENGINE_CASE_SCENES; i++) {
        struct record *record = &made->scenes[i];
        engine_case_ok(scenes_record(record, &scenes, i));
        made->masks[i] = memory_new((size_t)record->n_regions, sizeof *made->masks[i]);
        made->boxes[i] = memory_new((size_t)record->n_regions, sizeof *made->boxes[i]);
        for (int64_t q = 0; q < record->n_regions; q++) {
            engine_case_ok(region_mask(&made->masks[i][q], record, q, REGION_SEGMENTATION));
            made->boxes[i][q] = record->regions[q].box;
        }
    }
}

void engine_case_release(struct engine_case *made)
{
    for (int64_t i = 0; i < ENGINE_CASE_SCENES; i++) {
        for (int64_t q = 0; q < made->scenes[i].n_regions; q++) rle_release(&made->masks[i][q]);
        free(made->masks[i]);
        free(made->boxes[i]);
        record_release(&made->scenes[i]);
    }
    model_destroy(made->model);
    stream_destroy(made->stream);
    device_close(made->device);
    tokenizer_close(made->tokenizer);
}

struct ask engine_case_ask(const struct engine_case *made, int64_t scene, bool whole)
{
    const struct record *record = &made->scenes[scene];
    return (struct ask){.id = record->id,
                        .picture = {record->image, record->image_size, record->id},
                        .height = record->height,
                        .width = record->width,
                        .masks = whole ? NULL : made->masks[scene],
                        .n_regions = whole ? 0 : record->n_regions,
                        .boxes = whole ? NULL : made->boxes[scene]};
}

void engine_case_run(struct engine *engine, const struct tokenizer *tokenizer,
                     const struct ask *asks, const struct ask_options *options, int64_t n,
                     struct engine_result *results)
{
    struct engine_result result;
    for (int64_t next = 0; next < n || !engine_is_idle(engine);) {
        for (; next < n && engine_has_room(engine); next++) {
            struct ask ask = asks[next];
            ask.tag = (uint64_t)next;
            engine_case_ok(ask_submit(engine, tokenizer, &ask, &options[next]));
        }
        engine_case_ok(engine_step(engine));
        while (engine_take(engine, &result)) results[result.tag] = result;
    }
    ASSERT(engine_counts(engine).blocks_in_use == 0, "an idle engine holds %lld blocks",
           (long long)engine_counts(engine).blocks_in_use);
}
