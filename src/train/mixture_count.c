/* See mixture_count.h. */
#include "train/mixture_count.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/rate_line.h"

void mixture_count_release(struct mixture_count *count)
{
    free(count->parts);
    free(count->sizes);
    free(count->target_count);
    *count = (struct mixture_count){0};
}

static int64_t part_of(const struct mixture *mixture, int64_t source, int64_t task)
{
    int64_t part = task;
    for (int64_t i = 0; i < source; i++) part += mixture->entries[i].n_tasks;
    return part;
}

static void add_part(struct mixture_part *sum, const struct mixture_part *part)
{
    sum->samples += part->samples;
    sum->skipped += part->skipped;
    sum->images += part->images;
    sum->regions += part->regions;
    sum->tokens += part->tokens;
    sum->targets += part->targets;
    sum->cut += part->cut;
    sum->dropped_relations += part->dropped_relations;
    if (part->longest > sum->longest) sum->longest = part->longest;
}

static void add_sample(struct mixture_count *count, struct mixture_part *part,
                       const struct sample *sample, const struct sample_rows *rows)
{
    const struct mixture_part one = {.images = sample->has_image,
                                     .regions = rows->n_regions,
                                     .tokens = rows->n_rows,
                                     .targets = rows->n_targets,
                                     .cut = rows->n_cut > 0,
                                     .longest = rows->n_rows,
                                     .dropped_relations = sample->n_dropped_relations};
    add_part(part, &one);
    int64_t bin = rows->n_rows / count->bin_width;
    count->bins[bin < MIXTURE_COUNT_BINS ? bin : MIXTURE_COUNT_BINS - 1]++;
    for (int64_t r = 1; r < rows->n_rows; r++)
        if (rows->label[r] != IGNORE_LABEL) count->target_count[rows->label[r]]++;
}

static enum status count_item(struct mixture_count *count, const struct mixture *mixture,
                              const struct sample_rows_options *options, int64_t position)
{
    enum status status = OK;
    struct sample sample = {0};
    struct sample_rows rows = {0};
    const char *skipped = NULL;
    const struct order_item item = order_item_at(mixture->order, position);
    const struct sample_source source = corpus_source_samples(&mixture->samples);
    struct mixture_part *part = &count->parts[part_of(mixture, item.source, item.task)];
    TRY(source.build(source.context, &item, &sample, &skipped));
    part->samples++;
    if (skipped != NULL) {
        part->skipped++;
        goto out;
    }
    TRY(sample_rows_create(&rows, &sample, options));
    add_sample(count, part, &sample, &rows);
    count->sizes[position] = (struct sample_size){.tokens = rows.n_rows,
                                                  .images = sample.has_image,
                                                  .regions = rows.n_regions,
                                                  .targets = rows.n_targets,
                                                  .cut = rows.n_cut};
out:
    sample_rows_release(&rows);
    sample_release(&sample);
    return status;
}

enum status mixture_count_make(struct mixture_count *count_out, const struct mixture *mixture,
                               const struct sample_rows_options *rows, int64_t max_length,
                               int64_t n)
{
    enum status status = OK;
    struct mixture_count count = {.epoch_size = order_epoch_size(mixture->order)};
    struct rate_line line = {0};
    count.n_counted = n > 0 && n < count.epoch_size ? n : count.epoch_size;
    count.bin_width = max_length / MIXTURE_COUNT_BINS + (max_length % MIXTURE_COUNT_BINS != 0);
    for (int64_t i = 0; i < mixture->n_entries; i++) count.n_parts += mixture->entries[i].n_tasks;
    count.parts = memory_new((size_t)count.n_parts + 1, sizeof *count.parts);
    count.sizes = memory_new((size_t)count.n_counted + 1, sizeof *count.sizes);
    count.target_count = memory_new((size_t)rows->vocab, sizeof *count.target_count);
    line = rate_line_begin("mixture", "samples", 0, count.n_counted);
    for (int64_t i = 0; i < count.n_counted; i++) {
        TRY(count_item(&count, mixture, rows, i));
        rate_line_update(&line, i + 1);
    }
    for (int64_t i = 0; i < count.n_parts; i++) add_part(&count.total, &count.parts[i]);
    *count_out = count;
    count = (struct mixture_count){0};
out:
    rate_line_end(&line);
    mixture_count_release(&count);
    return status;
}

static double share(int64_t part, int64_t whole)
{
    return whole > 0 ? 100 * (double)part / (double)whole : 0;
}

static void write_row(struct text_buffer *out, const struct mixture_part *part,
                      const struct mixture_count *count, const char *name)
{
    const double scale = (double)count->epoch_size / (double)count->n_counted;
    const double made = (double)(part->samples - part->skipped);
    text_printf(out, "%10.0f %6.2f%% %6.2f%% %8.1f %8.1f %8.2f %9" PRId64 "  %s\n",
                (double)part->samples * scale, share(part->samples, count->total.samples),
                share(part->targets, count->total.targets),
                made > 0 ? (double)part->tokens / made : 0,
                made > 0 ? (double)part->targets / made : 0,
                made > 0 ? (double)part->regions / made : 0, part->skipped, name);
}

static void write_sources(struct text_buffer *out, const struct mixture_count *count,
                          const struct mixture *mixture)
{
    int64_t part = 0;
    for (int64_t i = 0; i < mixture->n_entries; i++)
        for (int64_t t = 0; t < mixture->entries[i].n_tasks; t++) {
            char *name = text_format("%s: %s", order_source(mixture->order, i)->name,
                                     mixture->entries[i].tasks[t]->name);
            write_row(out, &count->parts[part++], count, name);
            free(name);
        }
}

/* The parts of one task added up, where several sources have it. */
static void write_tasks(struct text_buffer *out, const struct mixture_count *count,
                        const struct mixture *mixture)
{
    int64_t n = 0;
    const struct task *const *tasks = task_list(&n);
    for (int64_t k = 0; k < n; k++) {
        struct mixture_part sum = {0};
        int64_t part = 0, n_found = 0;
        for (int64_t i = 0; i < mixture->n_entries; i++)
            for (int64_t t = 0; t < mixture->entries[i].n_tasks; t++, part++) {
                if (mixture->entries[i].tasks[t] != tasks[k]) continue;
                add_part(&sum, &count->parts[part]);
                n_found++;
            }
        char *name = text_format("all %s", tasks[k]->name);
        if (n_found > 1) write_row(out, &sum, count, name);
        free(name);
    }
}

#define BAR 50 /* characters of the longest bar */

static void write_lengths(struct text_buffer *out, const struct mixture_count *count)
{
    int64_t most = 1, last = 0;
    for (int64_t i = 0; i < MIXTURE_COUNT_BINS; i++) {
        if (count->bins[i] > most) most = count->bins[i];
        if (count->bins[i] > 0) last = i;
    }
    text_append(out, "\nlength in tokens, samples\n");
    for (int64_t i = 0; i <= last; i++) {
        text_printf(out, "%6" PRId64 " .. %5" PRId64 " %6.2f%%  ", i * count->bin_width,
                    (i + 1) * count->bin_width - 1,
                    share(count->bins[i], count->total.samples - count->total.skipped));
        for (int64_t k = 0; k < count->bins[i] * BAR / most; k++) text_append_char(out, '#');
        text_append_char(out, '\n');
    }
}

void mixture_count_write(struct text_buffer *out, const struct mixture_count *count,
                         const struct mixture *mixture)
{
    text_append(out, "   samples   share targets   tokens  targets  regions   nothing\n"
                     "  an epoch  of all  of all ------- of a sample -------  to learn\n");
    write_sources(out, count, mixture);
    write_tasks(out, count, mixture);
    write_row(out, &count->total, count, "in all");
    write_lengths(out, count);
}
