/* Runs the questions of the probe through a model, under each view of the picture. */
#include "evaluate/scenes_probe.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "comm/mesh.h"
#include "corpus/task.h"
#include "train/micro_batch.h"

const char *const probe_form_names[N_PROBE_FORMS] = {"short", "graph"};
const char *const probe_class_names[N_PROBE_CLASSES] = {"colour", "name", "geometry", "pixels"};
const char *const probe_view_names[N_PROBE_VIEWS] = {"seen", "zeroed", "swapped"};

static const struct {
    const char *task;
    enum probe_form form;
} asked[] = {{"region_attribute", PROBE_SHORT},
             {"region_label", PROBE_SHORT},
             {"relation_pair", PROBE_SHORT},
             {"sg", PROBE_GRAPH}};

struct probe_item { /* one conversation about one record, ready for the model */
    struct sample sample;
    struct sample_rows rows;
    struct probe_answers answers;
    struct micro_batch *micro;
    int32_t *predicted_row; /* [n_predicted]: rows whose next token is scored, increasing */
    int64_t n_predicted;
    float *logits; /* [n_predicted, vocab] */
};

static void probe_item_release(struct probe_item *item)
{
    sample_release(&item->sample);
    sample_rows_release(&item->rows);
    probe_answers_release(&item->answers);
    micro_batch_destroy(item->micro);
    free(item->predicted_row);
    free(item->logits);
    *item = (struct probe_item){0};
}

/* ---- preparing ---- */

static enum status read_sample(struct probe_item *item, const struct scenes_probe *probe,
                               int64_t index, const char *task_name, const char **skipped_out)
{
    enum status status = OK;
    struct record record = {0};
    const struct task_options options = task_options_default();
    const struct sample_request request = {
        .id = (uint64_t)index,
        .task = task_find(task_name),
        .tokenizer = probe->tokenizer,
        .options = &options,
        .draws = task_draws(probe->seed, (uint64_t)index, 0),
    };
    TRY(corpus_read(probe->corpus, index, &record));
    TRY(sample_build(&item->sample, skipped_out, &record, &request));
out:
    record_release(&record);
    return status;
}

static void list_predicted_rows(struct probe_item *item)
{
    int64_t n = 0;
    for (int64_t a = 0; a < item->answers.n; a++) n += item->answers.answers[a].n_rows;
    item->predicted_row = memory_new((size_t)n + 1, sizeof *item->predicted_row);
    for (int64_t a = 0; a < item->answers.n; a++) {
        const struct probe_answer *answer = &item->answers.answers[a];
        for (int64_t r = 0; r < answer->n_rows; r++)
            item->predicted_row[item->n_predicted++] = (int32_t)(answer->first_row + r - 1);
    }
}

static enum status set_regions(struct probe_item *item, const struct scenes_probe *probe)
{
    enum status status = OK;
    struct rle mask = {0};
    for (int64_t q = 0; q < item->sample.n_regions; q++) {
        rle_release(&mask);
        TRY(region_mask(&mask, &item->sample.record, item->sample.regions[q], probe->region_mode));
        TRY(micro_batch_set_region(item->micro, 0, q, &mask));
    }
out:
    rle_release(&mask);
    return status;
}

static enum status prepare_item(struct probe_item *item, const struct scenes_probe *probe)
{
    enum status status = OK;
    const struct model_config *config = model_config_of(probe->model);
    const struct micro_batch_options options = {.config = config, .target_weight = 1};
    TRY(sample_rows_create(&item->rows, &item->sample, &probe->rows));
    if (item->rows.n_cut > 0)
        FAIL(ERR_LIMIT, "record %s is %" PRId64 " rows longer than data.max_length",
             item->sample.record.id, item->rows.n_cut);
    TRY_WHERE(probe_answers_find(&item->answers, &item->rows, probe->tokenizer), "record %s",
              item->sample.record.id);
    list_predicted_rows(item);
    item->logits = malloc((size_t)(item->n_predicted * config->lm.vocab + 1) * sizeof(float));
    if (item->logits == NULL) FAIL(ERR_MEMORY, "no memory for the logits of a probe");
    TRY(micro_batch_create(&item->micro, &item->rows, &item->sample.id, 1, &options));
    TRY(set_regions(item, probe));
out:
    return status;
}

/* ---- asking ---- */

/* One rank's way through the records. */
struct asking {
    const struct scenes_probe *probe;
    struct probe_counts *counts;
    bool stopped; /* a sharer of the model failed: it says so where all ranks meet */
};

/* Collective over the sharers of a model, before each use of it: none of them asks alone. */
static enum status meet(struct asking *asking, enum status own)
{
    enum status status = OK;
    int64_t failed = own != OK;
    if (asking->probe->mesh->tp_size > 1) TRY(comm_max_int64(asking->probe->mesh->tp, &failed, 1));
    asking->stopped = failed > 0;
    status = own;
out:
    return status;
}

static enum status set_picture(struct probe_item *item, const struct scenes_probe *probe,
                               const struct record *other, enum probe_view view)
{
    enum status status = OK;
    const struct model_config *config = model_config_of(probe->model);
    const struct record *record = view == PROBE_SWAPPED ? other : &item->sample.record;
    float *pixels = micro_batch_pixels(item->micro, 0);
    if (record->height != item->sample.record.height || record->width != item->sample.record.width)
        FAIL(ERR_SHAPE, "records %s and %s differ in size: their pictures cannot be swapped",
             record->id, item->sample.record.id);
    if (view == PROBE_ZEROED) {
        memset(pixels, 0, (size_t)item->micro->pixels_per_image * sizeof *pixels);
        goto out;
    }
    const struct image_source source = {record->image, record->image_size, record->id};
    TRY(image_preprocess(pixels, source, probe->image_mode, config->image_height,
                         config->image_width));
out:
    return status;
}

static bool is_right(const struct probe_item *item, const struct probe_answer *answer,
                     int64_t first_predicted, int64_t vocab)
{
    for (int64_t r = 0; r < answer->n_rows; r++) {
        const float *logits = item->logits + (first_predicted + r) * vocab;
        int64_t best = 0;
        for (int64_t v = 1; v < vocab; v++)
            if (logits[v] > logits[best]) best = v;
        if (best != item->rows.token_id[answer->first_row + r]) return false;
    }
    return true;
}

static enum status ask(const struct asking *asking, struct probe_item *item, enum probe_form form,
                       enum probe_view view)
{
    enum status status = OK;
    const struct scenes_probe *probe = asking->probe;
    const int64_t vocab = model_config_of(probe->model)->lm.vocab;
    struct model_batch batch = item->micro->batch;
    batch.n_targets = item->n_predicted;
    batch.target_row = item->predicted_row;
    TRY(model_logits(probe->model, &batch, NULL, item->logits));
    int64_t predicted = 0;
    for (int64_t a = 0; a < item->answers.n; a++) {
        const struct probe_answer *answer = &item->answers.answers[a];
        asking->counts->right[form][answer->class][view] +=
            is_right(item, answer, predicted, vocab);
        predicted += answer->n_rows;
    }
out:
    return status;
}

/* One conversation under each view. */
static enum status ask_item(struct asking *asking, struct probe_item *item, enum probe_form form,
                            const struct record *other)
{
    enum status status = OK;
    struct probe_counts *counts = asking->counts;
    for (int64_t a = 0; a < item->answers.n; a++) {
        const struct probe_answer *answer = &item->answers.answers[a];
        counts->total[form][answer->class]++;
        counts->truth[form][answer->class][answer->word]++;
    }
    for (int view = 0; view < N_PROBE_VIEWS; view++) {
        status = set_picture(item, asking->probe, other, (enum probe_view)view);
        TRY(meet(asking, status));
        if (asking->stopped) goto out;
        TRY(ask(asking, item, form, (enum probe_view)view));
    }
out:
    return status;
}

static enum status ask_task(struct asking *asking, int64_t index, size_t which,
                            const struct record *other)
{
    enum status status = OK;
    struct probe_item item = {0};
    const char *skipped = NULL;
    status = read_sample(&item, asking->probe, index, asked[which].task, &skipped);
    if (status == OK && skipped == NULL) status = prepare_item(&item, asking->probe);
    TRY(meet(asking, status));
    if (asking->stopped || skipped != NULL) goto out; /* a scene without relations, say */
    TRY(ask_item(asking, &item, asked[which].form, other));
out:
    probe_item_release(&item);
    return status;
}

static enum status ask_records(struct asking *asking)
{
    enum status status = OK;
    struct record other = {0};
    const struct scenes_probe *probe = asking->probe;
    for (int64_t i = probe->mesh->dp_rank; i < probe->n_records; i += probe->mesh->dp_size) {
        record_release(&other);
        status = corpus_read(probe->corpus, (i + 1) % probe->n_records, &other);
        TRY(meet(asking, status));
        for (size_t task = 0; task < sizeof asked / sizeof asked[0] && !asking->stopped; task++)
            TRY(ask_task(asking, i, task, &other));
        if (asking->stopped) goto out;
    }
out:
    record_release(&other);
    return status;
}

enum status scenes_probe_run(struct probe_counts *counts_out, const struct scenes_probe *probe)
{
    enum status status = OK;
    struct probe_counts counts = {0};
    const struct mesh *mesh = probe->mesh;
    struct asking asking = {.probe = probe, .counts = &counts};
    TRY(comm_agree(mesh->world, ask_records(&asking)));
    TRY(comm_sum_int64(mesh->dp, (int64_t *)&counts, sizeof counts / sizeof(int64_t)));
    *counts_out = counts;
out:
    return status;
}

/* ---- results ---- */

double probe_accuracy(const struct probe_counts *counts, enum probe_form form,
                      enum probe_class class, enum probe_view view)
{
    const int64_t total = counts->total[form][class];
    return total == 0 ? 0 : (double)counts->right[form][class][view] / (double)total;
}

double probe_majority(const struct probe_counts *counts, enum probe_form form,
                      enum probe_class class)
{
    const int64_t total = counts->total[form][class];
    int64_t most = 0;
    for (int word = 0; word < PROBE_MAX_WORDS; word++)
        if (counts->truth[form][class][word] > most) most = counts->truth[form][class][word];
    return total == 0 ? 0 : (double)most / (double)total;
}

char *probe_table(const struct probe_counts *counts, const struct probe_beside *beside, int64_t n)
{
    struct text_buffer table = {0};
    text_append(&table, "answers  what       asked  majority    seen  zeroed  swapped");
    for (int64_t i = 0; i < n; i++) text_printf(&table, "  %12s", beside[i].name);
    text_append(&table, "\n");
    for (int form = 0; form < N_PROBE_FORMS; form++) {
        for (int class = 0; class < N_PROBE_CLASSES; class ++) {
            const enum probe_form f = (enum probe_form)form;
            const enum probe_class c = (enum probe_class) class;
            text_printf(&table, "%-8s %-9s %6" PRId64 "  %8.3f  %6.3f  %6.3f  %7.3f",
                        probe_form_names[form], probe_class_names[class],
                        counts->total[form][class], probe_majority(counts, f, c),
                        probe_accuracy(counts, f, c, PROBE_SEEN),
                        probe_accuracy(counts, f, c, PROBE_ZEROED),
                        probe_accuracy(counts, f, c, PROBE_SWAPPED));
            for (int64_t i = 0; i < n; i++) text_printf(&table, "  %12.3f", beside[i].seen[f][c]);
            text_append(&table, "\n");
        }
    }
    return text_take(&table);
}
