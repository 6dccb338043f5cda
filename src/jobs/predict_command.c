/* From options to a picture's answers. */
#include "jobs/predict_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "generate/engine_setup.h"
#include "generate/grammar.h"
#include "jobs/engine_host.h"
#include "jobs/options.h"
#include "jobs/predict_output.h"

#define COUNT(array)     (sizeof(array) / sizeof((array)[0]))
#define MAX_REGIONS_JSON ((size_t)64 << 20)
#define MAX_PICTURE      ((size_t)256 << 20)

struct request {
    const char *config, *from, *image, *task, *regions, *format, *out;
    struct option_texts set, boxes, masks, questions;
    bool box_text;
};

struct work { /* zeroed is releasable */
    struct engine_host host;
    unsigned char *picture;
    size_t picture_size;
    int64_t height, width;
    struct regions regions;
};

static enum status find_mode(enum ask_mode *mode_out, const char *name)
{
    struct text_buffer names = {0};
    enum status status = OK;
    for (int m = 0; m < N_ASK_MODES; m++) {
        *mode_out = (enum ask_mode)m;
        if (strcmp(name, ask_mode_names[m]) == 0) goto out;
        text_printf(&names, "%s%s", m > 0 ? ", " : "", ask_mode_names[m]);
    }
    FAIL(ERR_ARGUMENT, "unknown task %s; one of %s", name, text_of(&names));
out:
    text_release(&names);
    return status;
}

static enum status add_option_box(struct work *work, const char *text)
{
    enum status status = OK;
    struct box box;
    char rest;
    if (sscanf(text, "%lf,%lf,%lf,%lf%c", &box.x1, &box.y1, &box.x2, &box.y2, &rest) != 4)
        FAIL(ERR_ARGUMENT, "--box %s: not four numbers x1,y1,x2,y2", text);
    TRY_WHERE(regions_add_box(&work->regions, box, work->height, work->width), "--box");
out:
    return status;
}

static enum status add_mask_file(struct work *work, const char *path)
{
    enum status status = OK;
    unsigned char *bytes = NULL;
    size_t size = 0;
    TRY(file_read(&bytes, &size, path, MAX_PICTURE));
    TRY(regions_add_mask(&work->regions, bytes, size, path, work->height, work->width));
out:
    free(bytes);
    return status;
}

static enum status read_regions(struct work *work, const struct request *request)
{
    enum status status = OK;
    json_t *root = NULL;
    if (request->regions[0] != '\0') {
        TRY(json_file_read(&root, request->regions, MAX_REGIONS_JSON));
        TRY(regions_from_json(&work->regions, root, GRAMMAR_MAX_REGIONS - 1, work->height,
                              work->width, request->regions));
    }
    for (int64_t i = 0; i < request->boxes.n; i++)
        TRY(add_option_box(work, request->boxes.values[i]));
    for (int64_t i = 0; i < request->masks.n; i++)
        TRY(add_mask_file(work, request->masks.values[i]));
out:
    json_decref(root);
    return status;
}

static enum status write_out(const struct prediction *prediction, const struct request *request)
{
    enum status status = OK;
    struct text_buffer out = {0};
    if (strcmp(request->format, "text") == 0) {
        predict_text(&out, prediction);
    } else if (strcmp(request->format, "json") == 0) {
        json_t *root = predict_json(prediction);
        char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
        text_printf(&out, "%s\n", text);
        free(text);
        json_decref(root);
    } else {
        predict_svg(&out, prediction);
    }
    if (request->out[0] != '\0')
        TRY(file_write_atomic(request->out, text_of(&out), out.length));
    else
        fwrite(text_of(&out), 1, out.length, stdout);
out:
    text_release(&out);
    return status;
}

/* Asks and waits. */
static enum status answer(struct work *work, const struct ask *ask,
                          const struct ask_options *options, struct engine_result *result_out)
{
    enum status status = OK;
    TRY(ask_submit(work->host.engine, work->host.tokenizer, ask, options));
    while (!engine_take(work->host.engine, result_out)) TRY(engine_step(work->host.engine));
out:
    return status;
}

static enum status predict(struct work *work, const struct request *request,
                           struct command_call *call)
{
    enum status status = OK;
    struct engine_result result = {0};
    struct ask_graph graph = {0};
    enum ask_mode mode;
    TRY(find_mode(&mode, request->task));
    if (strcmp(request->format, "text") != 0 && strcmp(request->format, "json") != 0 &&
        strcmp(request->format, "svg") != 0)
        FAIL(ERR_ARGUMENT, "unknown format %s; one of text, json, svg", request->format);
    TRY(file_read(&work->picture, &work->picture_size, request->image, MAX_PICTURE));
    TRY(image_probe(&work->height, &work->width, work->picture, work->picture_size,
                    request->image));
    TRY(read_regions(work, request));
    TRY(engine_host_open(&work->host, request->config, request->from,
                         (const char *const *)request->set.values, (int)request->set.n));
    if (!engine_host_leads(&work->host)) {
        call->started = true;
        return engine_host_follow(&work->host);
    }
    const struct ask ask = {.id = request->image,
                            .picture = {work->picture, work->picture_size, request->image},
                            .height = work->height,
                            .width = work->width,
                            .masks = work->regions.masks,
                            .boxes = work->regions.boxes,
                            .n_regions = work->regions.n,
                            .questions = (const char *const *)request->questions.values,
                            .n_questions = request->questions.n};
    struct ask_options options = ask_options_from(&work->host.config, mode);
    options.box_text = request->box_text;
    call->started = true;
    TRY(answer(work, &ask, &options, &result));
    const bool is_graph = mode == ASK_HOLISTIC || mode == ASK_PER_OBJECT || mode == ASK_DETECTION;
    if (is_graph) TRY(ask_read_graph(&graph, &result, &ask, &options));
    const struct prediction prediction = {&result, &ask, &options, &work->regions,
                                          is_graph ? &graph : NULL};
    TRY(write_out(&prediction, request));
out:
    ask_graph_release(&graph);
    engine_result_release(&result);
    return status;
}

enum status predict_command(struct command_call *call)
{
    enum status status = OK;
    struct work work = {0};
    bool helped = false;
    struct request request = {
        .from = "", .task = "holistic", .regions = "", .format = "text", .out = ""};
    const struct option_row rows[] = {
        {"CONFIG.yaml", NULL, OPTION_TEXT, true, 0, 0, &request.config,
         "model, tokenizer and the keys decode.*"},
        {"--image", "FILE", OPTION_TEXT, true, 0, 0, &request.image, "JPEG or PNG"},
        {"--from", "PATH", OPTION_TEXT, false, 0, 0, &request.from,
         "checkpoint with the weights, or a folder of some; default train.init"},
        {"--task", "NAME", OPTION_TEXT, false, 0, 0, &request.task,
         "holistic, per_object, detection, refexp, question or yes_no"},
        {"--regions", "FILE.json", OPTION_TEXT, false, 0, 0, &request.regions,
         "a list of {\"box\": [x1, y1, x2, y2]}, {\"segmentation\": as COCO} or {\"mask\": data "
         "URL}; by default the whole picture is region1"},
        {"--box", "X1,Y1,X2,Y2", OPTION_TEXTS, false, 0, 0, &request.boxes,
         "one more region, in pixels; may be given several times"},
        {"--mask", "FILE.png", OPTION_TEXTS, false, 0, 0, &request.masks,
         "one more region: what is not black; may be given several times"},
        {"--question", "TEXT", OPTION_TEXTS, false, 0, 0, &request.questions,
         "of tasks refexp, question and yes_no; may be given several times"},
        {"--box-text", NULL, OPTION_FLAG, false, 0, 0, &request.box_text,
         "write boxes behind the regions of the question"},
        {"--format", "NAME", OPTION_TEXT, false, 0, 0, &request.format, "text, json or svg"},
        {"--out", "FILE", OPTION_TEXT, false, 0, 0, &request.out, "default standard output"},
        {"--set", "KEY=VALUE", OPTION_TEXTS, false, 0, 0, &request.set,
         "over the configuration's; may be given several times"},
    };
    TRY(options_read(rows, COUNT(rows), "predict", call, &helped));
    if (!helped) TRY(predict(&work, &request, call));
out:
    engine_host_close(&work.host);
    regions_release(&work.regions);
    free(work.picture);
    free(request.set.values);
    free(request.boxes.values);
    free(request.masks.values);
    free(request.questions.values);
    return status;
}
