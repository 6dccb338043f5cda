/* See generate_model.h. */
#include "jobs/generate_model.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/text_buffer.h"
#include "generate/engine_setup.h"
#include "jobs/job_mesh.h"

/* The least probability of the first judge that names one. */
static double least_yes(const struct config_generate *config)
{
    for (int64_t i = 0; i < config->n_filters; i++)
        if (config->filters[i].kind == CONFIG_FILTER_JUDGE && config->filters[i].threshold >= 0)
            return config->filters[i].threshold;
    return 0.5;
}

static struct model_teacher_options teacher_options_of(const struct generate_model *model,
                                                       const struct run_config *config)
{
    const struct config_generate *generate = &config->generate;
    struct model_teacher_options options = {
        .engine = model->engine,
        .tokenizer = model->tokenizer,
        .draft = ask_options_from(
            config, generate->draft_mode == CONFIG_DRAFT_HOLISTIC ? ASK_HOLISTIC : ASK_PER_OBJECT),
        .judge = ask_options_from(config, ASK_YES_NO),
        .region_mode = config->data.region_mode,
        .least_yes = least_yes(generate),
        .name = model->name,
    };
    options.draft.constrained = true;
    options.draft.temperature = generate->temperature;
    options.draft.top_p = generate->top_p;
    if (generate->max_tokens > 0) options.draft.max_tokens = generate->max_tokens;
    return options;
}

enum status generate_model_open(struct generate_model *model, struct mesh *mesh,
                                struct model_share *share, const struct run_config *config,
                                const char *called)
{
    enum status status = OK;
    struct comm *comm = mesh->world;
    if (config->train.init[0] == '\0')
        FAIL(ERR_ARGUMENT, "the model drafts or judges: train.init must name its checkpoint");
    model->name = text_format("robin:%s", called);
    TRY(comm_agree(comm, tokenizer_open(&model->tokenizer, config->tokenizer)));
    status = run_model_size(&model->model, config, false);
    model->model.options.limits = engine_model_limits(config);
    share->sequence = false; /* of training; rows of a decoder are whole everywhere */
    if (mesh->tp_size > 1) model->model.options.share = share;
    if (status == OK) status = run_model_create(&model->model, config);
    TRY(comm_agree(comm, status));
    TRY(job_mesh_use_device(mesh, model->model.device, config));
    const struct train_parts parts = {.comm = comm, .mesh = mesh, .model = model->model.model};
    TRY(run_take_init(&parts, config));
    const struct engine_options options = engine_options_from(config);
    status = engine_create(&model->engine, model->model.model, model->tokenizer, &options);
    TRY(comm_agree(comm, status));
    const struct model_teacher_options teacher = teacher_options_of(model, config);
    TRY(model_teacher_create(&model->teacher, &teacher));
out:
    return status;
}

void generate_model_close(struct generate_model *model)
{
    model_teacher_destroy(model->teacher);
    engine_destroy(model->engine);
    run_model_release(&model->model);
    tokenizer_close(model->tokenizer);
    free(model->name);
    *model = (struct generate_model){0};
}
