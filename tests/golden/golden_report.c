/* What the golden tool found in one folder: one line per group. */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "golden.h"

/* Failed cases of a group that are printed without --verbose. */
#define SHOWN_FAILURES 3

struct group {
    char *name;
    int64_t n_results, n_failed;
    bool has_floats;
    double worst_difference, worst_limit; /* of the result with the largest difference / limit */
    char *worst_name;
};

struct golden_report {
    char *folder;
    const char *family;
    bool verbose;
    struct group *groups;
    int64_t n_groups;
    int64_t n_skipped;
    struct text_buffer notes; /* failures and skips, one line each */
};

struct golden_report *golden_report_create(const char *folder, const char *family, bool verbose)
{
    struct golden_report *report = memory_new(1, sizeof *report);
    report->folder = text_copy(folder);
    report->family = family;
    report->verbose = verbose;
    return report;
}

void golden_report_destroy(struct golden_report *report)
{
    if (report == NULL) return;
    for (int64_t i = 0; i < report->n_groups; i++) {
        free(report->groups[i].name);
        free(report->groups[i].worst_name);
    }
    free(report->groups);
    free(report->folder);
    text_release(&report->notes);
    free(report);
}

static struct group *find_group(struct golden_report *report, const char *name)
{
    for (int64_t i = 0; i < report->n_groups; i++) {
        if (strcmp(report->groups[i].name, name) == 0) return &report->groups[i];
    }
    report->groups =
        memory_resize(report->groups, (size_t)report->n_groups + 1, sizeof *report->groups);
    struct group *group = &report->groups[report->n_groups++];
    *group = (struct group){.name = text_copy(name)};
    return group;
}

void golden_report_float(struct golden_report *report, const char *group_name, const char *name,
                         double difference, double limit)
{
    struct group *group = find_group(report, group_name);
    bool passed = difference <= limit; /* false for NaN */
    group->n_results++;
    group->n_failed += !passed;
    bool worse = !group->has_floats || isnan(difference) ||
                 difference * group->worst_limit > group->worst_difference * limit;
    if (worse && !(group->has_floats && isnan(group->worst_difference))) {
        group->worst_difference = difference;
        group->worst_limit = limit;
        free(group->worst_name);
        group->worst_name = text_copy(name);
    }
    group->has_floats = true;
    if (!passed || report->verbose) {
        bool shown = report->verbose || group->n_failed <= SHOWN_FAILURES;
        if (shown)
            text_printf(&report->notes, "  %s %s: %.2e, limit %.2e\n", passed ? "      " : "FAILED",
                        name, difference, limit);
    }
}

void golden_report_case(struct golden_report *report, const char *group_name, bool passed,
                        const char *format, ...)
{
    struct group *group = find_group(report, group_name);
    group->n_results++;
    if (passed) return;
    group->n_failed++;
    if (!report->verbose && group->n_failed > SHOWN_FAILURES) return;
    text_printf(&report->notes, "  FAILED %s: ", group_name);
    va_list arguments;
    va_start(arguments, format);
    char *sentence = NULL;
    if (vasprintf(&sentence, format, arguments) >= 0) text_append(&report->notes, sentence);
    free(sentence);
    va_end(arguments);
    text_append(&report->notes, "\n");
}

void golden_report_skip(struct golden_report *report, const char *what, const char *why)
{
    report->n_skipped++;
    text_printf(&report->notes, "  skipped: %s: %s\n", what, why);
}

enum golden_outcome golden_report_print(const struct golden_report *report)
{
    int64_t n_failed = 0, n_results = 0;
    for (int64_t i = 0; i < report->n_groups; i++) {
        n_failed += report->groups[i].n_failed;
        n_results += report->groups[i].n_results;
    }
    static const char *const words[] = {"ok     ", "skipped", "FAILED "};
    enum golden_outcome outcome = GOLDEN_FAILED;
    if (n_failed == 0 && n_results > 0) outcome = GOLDEN_PASSED;
    if (n_results == 0 && report->n_skipped > 0) outcome = GOLDEN_SKIPPED;
    printf("%s %s (%s)\n", words[outcome], report->folder, report->family);
    for (int64_t i = 0; i < report->n_groups; i++) {
        const struct group *group = &report->groups[i];
        printf("  %-24s %5lld of %lld", group->name,
               (long long)(group->n_results - group->n_failed), (long long)group->n_results);
        if (group->has_floats)
            printf("   worst %.2e of %.2e  %s", group->worst_difference, group->worst_limit,
                   group->worst_name);
        printf("\n");
    }
    if (outcome == GOLDEN_FAILED && n_results == 0) printf("  nothing was compared\n");
    fputs(text_of(&report->notes), stdout);
    fflush(stdout);
    return outcome;
}
