/* From the files of a run to words and curves. */
#include "report/run_report.h"

#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "report/chart_svg.h"
#include "report/metrics_table.h"

#define MAX_FILE_BYTES ((size_t)16 << 20)

struct stage_run {
    char *name, *folder;
    struct metrics_table table;
};

struct report {
    const char *run;
    struct stage_run *stages;
    int64_t n;
    struct text_buffer summary, page;
};

/* ---- reading ---- */

/* Takes both strings. */
static void add_stage(struct report *report, char *name, char *folder)
{
    report->stages = memory_resize(report->stages, (size_t)report->n + 1, sizeof *report->stages);
    report->stages[report->n++] = (struct stage_run){.name = name, .folder = folder};
}

static enum status list_stages(struct report *report, const char *journal)
{
    enum status status = OK;
    json_t *root = NULL, *rows = NULL;
    const char *name = NULL;
    const struct json_place place = {journal, "stages"};
    TRY(json_file_read(&root, journal, MAX_FILE_BYTES));
    TRY(json_field(&rows, root, "stages", JSON_ARRAY, place));
    for (size_t i = 0; i < json_array_size(rows); i++) {
        TRY(json_field_string(&name, json_array_get(rows, i), "name", place));
        char *folder = path_join(report->run, name);
        char *metrics = path_join(folder, "metrics.jsonl");
        if (file_exists(metrics))
            add_stage(report, text_copy(name), folder);
        else
            free(folder);
        free(metrics);
    }
out:
    json_decref(root);
    return status;
}

static enum status read_run(struct report *report)
{
    enum status status = OK;
    char *journal = path_join(report->run, "curriculum.json");
    char *metrics = path_join(report->run, "metrics.jsonl");
    if (file_exists(journal))
        TRY(list_stages(report, journal));
    else if (file_exists(metrics))
        add_stage(report, text_copy(report->run), text_copy(report->run));
    else
        FAIL(ERR_IO, "%s is no run directory: it has neither metrics.jsonl nor curriculum.json",
             report->run);
    if (report->n == 0) FAIL(ERR_IO, "%s: no stage of it has begun", report->run);
    for (int64_t i = 0; i < report->n; i++) {
        char *path = path_join(report->stages[i].folder, "metrics.jsonl");
        status = metrics_table_read(&report->stages[i].table, path);
        free(path);
        if (status != OK) goto out;
    }
out:
    free(metrics);
    free(journal);
    return status;
}

/* ---- words ---- */

/* The last tenth, at least ten steps: what a single step says is noise. */
static int64_t tail_of(int64_t n)
{
    const int64_t tenth = n / 10 > 10 ? n / 10 : 10;
    return n > tenth ? n - tenth : 0;
}

static double sum_of(const double *values, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; values != NULL && i < n; i++)
        if (isfinite(values[i])) sum += values[i];
    return sum;
}

static double last_of(const double *values, int64_t n)
{
    return values != NULL && n > 0 ? values[n - 1] : NAN;
}

static void put_losses(struct text_buffer *out, const struct metrics_table *table)
{
    const double *loss = metrics_table_find(table, "loss");
    const int64_t n = table->n_rows, tail = tail_of(n);
    text_printf(out,
                "  loss         %.4f at first, %.4f at the end (mean of the last %" PRId64 ")\n",
                loss != NULL ? loss[0] : NAN, metrics_mean(loss, tail, n), n - tail);
    for (int64_t c = 0; c < table->n_columns; c++) {
        const struct metrics_column *column = &table->columns[c];
        if (strncmp(column->name, "task_loss.", 10) != 0) continue;
        text_printf(out, "    %-20s %.4f, %.4f\n", column->name + 10,
                    metrics_mean(column->values, 0, n - tail > n ? n : n - tail),
                    metrics_mean(column->values, tail, n));
    }
}

static void put_times(struct text_buffer *out, const struct metrics_table *table)
{
    static const char *const phases[] = {"data", "model", "reduce", "optimizer"};
    const int64_t n = table->n_rows, from = n > 1 ? 1 : 0; /* the first step begins the loader */
    const double step = metrics_mean(metrics_table_find(table, "seconds.step"), from, n);
    if (!isfinite(step)) return; /* a run of before they were told */
    text_printf(out, "  a step       %.1f ms (", 1e3 * step);
    for (size_t p = 0; p < sizeof phases / sizeof phases[0]; p++) {
        char *name = text_format("seconds.%s", phases[p]);
        const double seconds = metrics_mean(metrics_table_find(table, name), from, n);
        text_printf(out, "%s%s %.0f %%", p > 0 ? ", " : "", phases[p], 100 * seconds / step);
        free(name);
    }
    text_printf(out, ")\n  rate         %.0f tokens/s, %.1f images/s",
                metrics_mean(metrics_table_find(table, "tokens_per_s"), from, n),
                metrics_mean(metrics_table_find(table, "images_per_s"), from, n));
    const double mfu = metrics_mean(metrics_table_find(table, "mfu"), from, n);
    if (isfinite(mfu)) text_printf(out, ", MFU %.1f %%", 100 * mfu);
    const double memory = last_of(metrics_table_find(table, "memory"), n);
    text_printf(out, "\n  memory       %.1f MB at most (rank 0)\n", memory / 1e6);
}

/* Steps without an update, and how often a rank held the others up. */
static void put_troubles(struct text_buffer *out, const struct metrics_table *table)
{
    const int64_t n = table->n_rows;
    const double not_taken = sum_of(metrics_table_find(table, "not_taken"), n);
    const double skipped = sum_of(metrics_table_find(table, "skipped"), n);
    const double *busy = metrics_table_find(table, "slowest.seconds");
    const double *median = metrics_table_find(table, "slowest.median");
    int64_t slow = 0, compared = 0;
    for (int64_t i = 0; busy != NULL && median != NULL && i < n; i++) {
        compared += isfinite(busy[i]);
        slow += isfinite(busy[i]) && busy[i] > 1.2 * median[i];
    }
    if (not_taken > 0) text_printf(out, "  skipped      %.0f steps\n", not_taken);
    if (skipped > 0)
        text_printf(out, "  left out     %.0f samples with nothing to learn\n", skipped);
    if (slow > 0)
        text_printf(out, "  slow rank    in %" PRId64 " of %" PRId64 " comparisons\n", slow,
                    compared);
}

static void put_summary(struct text_buffer *out, const struct stage_run *stage)
{
    const struct metrics_table *table = &stage->table;
    const int64_t n = table->n_rows;
    text_printf(out, "%s: %.0f steps, %.0f samples, %.3g tokens\n", stage->name,
                n > 0 ? last_of(metrics_table_find(table, "step"), n) : 0,
                sum_of(metrics_table_find(table, "samples"), n),
                sum_of(metrics_table_find(table, "tokens"), n));
    if (n == 0) return;
    put_losses(out, table);
    put_times(out, table);
    put_troubles(out, table);
}

/* ---- curves ---- */

/* A running mean that follows within about a fiftieth of the run; to free(). */
static double *smooth(const double *values, int64_t n)
{
    double *out = memory_new((size_t)n + 1, sizeof *out);
    const double span = n > 100 ? (double)n / 50 : 2;
    double mean = 0, seen = 0;
    for (int64_t i = 0; i < n; i++) {
        if (isfinite(values[i])) mean += (values[i] - mean) / fmin(++seen, span);
        out[i] = isfinite(values[i]) ? mean : NAN;
    }
    return out;
}

/* All columns below `prefix`, or the one called `only`, smoothed where `rough`. */
struct picture {
    const char *title, *y_name, *prefix, *only;
    bool rough, logarithmic, from_zero;
};

static const struct picture pictures[] = {
    {"loss", "nats per target", NULL, "loss", true, true, false},
    {"loss by task", "nats per target", "task_loss.", NULL, true, true, false},
    {"gradient norm", "L2, before clipping", "module_grad_norm.", NULL, true, true, false},
    {"learning rate", "per step", "module_lr.", NULL, false, false, true},
    {"seconds of a step", "s, rank 0", "seconds.", NULL, true, false, true},
    {"tokens per second", "all ranks", NULL, "tokens_per_s", true, false, true},
    {"MFU", "share of the peak", NULL, "mfu", true, false, true},
};

static bool shows(const struct picture *picture, const char *name)
{
    if (picture->only != NULL) return strcmp(name, picture->only) == 0;
    return strncmp(name, picture->prefix, strlen(picture->prefix)) == 0;
}

static void draw(struct text_buffer *out, const struct picture *picture,
                 const struct metrics_table *table)
{
    struct chart chart = {.title = picture->title,
                          .y_name = picture->y_name,
                          .x = metrics_table_find(table, "step"),
                          .n = table->n_rows,
                          .logarithmic = picture->logarithmic,
                          .from_zero = picture->from_zero};
    double *smoothed[CHART_MAX_CURVES] = {NULL};
    const bool faint = picture->only != NULL && picture->rough;
    for (int64_t c = 0; c < table->n_columns; c++) {
        const struct metrics_column *column = &table->columns[c];
        if (!shows(picture, column->name) || chart.n_curves + 2 > CHART_MAX_CURVES) continue;
        double *mean = picture->rough ? smooth(column->values, table->n_rows) : NULL;
        smoothed[chart.n_curves] = mean;
        if (faint)
            chart.curves[chart.n_curves++] = (struct chart_curve){NULL, column->values, true};
        chart.curves[chart.n_curves++] = (struct chart_curve){
            picture->only != NULL ? NULL : column->name + strlen(picture->prefix),
            mean != NULL ? mean : column->values, false};
    }
    if (chart.n_curves > 0 && table->n_rows > 0) chart_svg(out, &chart);
    for (int c = 0; c < CHART_MAX_CURVES; c++) free(smoothed[c]);
}

/* The losses of all stages behind each other. */
static void draw_stages(struct report *report)
{
    int64_t n = 0;
    for (int64_t s = 0; s < report->n; s++) n += report->stages[s].table.n_rows;
    double *x = memory_new((size_t)n + 1, sizeof *x), *y = memory_new((size_t)n + 1, sizeof *y);
    double *marks = memory_new((size_t)report->n, sizeof *marks);
    const char **names = memory_new((size_t)report->n, sizeof *names);
    int64_t at = 0;
    for (int64_t s = 0; s < report->n; s++) {
        const struct metrics_table *table = &report->stages[s].table;
        const double *loss = metrics_table_find(table, "loss");
        double *mean = loss != NULL ? smooth(loss, table->n_rows) : NULL;
        marks[s] = (double)at;
        names[s] = report->stages[s].name;
        for (int64_t i = 0; i < table->n_rows; i++, at++) {
            x[at] = (double)at;
            y[at] = mean != NULL ? mean[i] : NAN;
        }
        free(mean);
    }
    const struct chart chart = {.title = "loss, stage after stage",
                                .y_name = "nats per target",
                                .x = x,
                                .n = n,
                                .curves = {{NULL, y, false}},
                                .n_curves = 1,
                                .logarithmic = true,
                                .marks = marks,
                                .mark_names = names,
                                .n_marks = report->n};
    if (n > 0) chart_svg(&report->page, &chart);
    free(names);
    free(marks);
    free(y);
    free(x);
}

static void write_page(struct report *report)
{
    struct text_buffer *out = &report->page;
    text_append(out, "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>");
    append_escaped(out, report->run);
    text_append(out, "</title><style>body{font:15px/1.45 sans-serif;color:#222;background:#fff;"
                     "max-width:1560px;margin:24px auto;padding:0 16px}h1{font-size:22px}"
                     "h2{font-size:17px;border-top:1px solid #ccc;padding-top:14px}"
                     "pre{background:#f6f6f6;padding:10px;overflow-x:auto}svg{max-width:100%;"
                     "height:auto}</style></head><body>\n<h1>");
    append_escaped(out, report->run);
    text_append(out, "</h1>\n");
    if (report->n > 1) draw_stages(report);
    for (int64_t s = 0; s < report->n; s++) {
        const struct stage_run *stage = &report->stages[s];
        struct text_buffer words = {0};
        put_summary(&words, stage);
        text_append(out, "<h2>");
        append_escaped(out, stage->name);
        text_append(out, "</h2>\n<pre>");
        append_escaped(out, text_of(&words));
        text_append(out, "</pre>\n");
        for (size_t p = 0; p < sizeof pictures / sizeof pictures[0]; p++)
            draw(out, &pictures[p], &stage->table);
        text_release(&words);
    }
    text_append(out, "</body></html>\n");
}

enum status run_report(char **summary_out, char **page_out, const char *run)
{
    enum status status = OK;
    struct report report = {.run = run};
    TRY(read_run(&report));
    for (int64_t s = 0; s < report.n; s++) put_summary(&report.summary, &report.stages[s]);
    write_page(&report);
    *summary_out = text_take(&report.summary);
    *page_out = text_take(&report.page);
out:
    for (int64_t s = 0; s < report.n; s++) {
        free(report.stages[s].name);
        free(report.stages[s].folder);
        metrics_table_release(&report.stages[s].table);
    }
    free(report.stages);
    text_release(&report.summary);
    text_release(&report.page);
    return status;
}
