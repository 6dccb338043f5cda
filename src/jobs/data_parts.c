/* See data_parts.h. */
#include "jobs/data_parts.h"

#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/text_buffer.h"

enum status data_print(const char *text)
{
    enum status status = OK;
    if (fputs(text, stdout) < 0 || fflush(stdout) != 0)
        FAIL(ERR_IO, "cannot write to standard output");
out:
    return status;
}

enum status data_start(struct comm **comm_out, const struct data_usage *usage,
                       const struct command_call *call, bool *help_out)
{
    enum status status = OK;
    char *text = options_usage(usage->rows, usage->n_rows, usage->command);
    char *help = text_format("%s%s", text, usage->notes == NULL ? "" : usage->notes);
    const enum status parsed =
        options_parse(usage->rows, usage->n_rows, usage->command, call, help_out);
    TRY(comm_create(comm_out, NULL));
    TRY(comm_agree(*comm_out, parsed));
    if (*help_out) TRY(comm_agree(*comm_out, comm_rank(*comm_out) == 0 ? data_print(help) : OK));
out:
    free(help);
    free(text);
    return status;
}

static void report_build(const struct build_summary *summary, const struct corpus_stage *stage)
{
    log_info("wrote %s: %" PRId64 " records of %" PRId64 " in the input", stage->directory,
             summary->n_records, summary->n_items);
    if (summary->n_skipped > 0)
        log_info("skipped %" PRId64 " (%s)", summary->n_skipped, text_of(&summary->reasons));
    if (summary->n_dropped > 0)
        log_info("dropped %" PRId64 " of %" PRId64 " objects, relations and texts (%s)",
                 summary->n_dropped, summary->n_parts + summary->n_dropped,
                 text_of(&summary->dropped));
    if (summary->n_changed > 0)
        log_info("changed %" PRId64 ": boxes that stuck out of the picture", summary->n_changed);
    if (summary->n_skipped + summary->n_dropped + summary->n_changed > 0)
        log_info("each of them is a line of %s/notes.jsonl", stage->directory);
}

enum status data_build(struct command_call *call, struct comm *comm,
                       const struct record_source *source, struct corpus_stage *stage,
                       const struct build_options *options)
{
    enum status status = OK;
    struct build_summary summary = {0};
    status = corpus_build(comm, source, stage, options, &summary);
    int64_t refused = summary.refused ? 1 : 0; /* rank 0 judges */
    if (status != OK) (void)comm_max_int64(comm, &refused, 1);
    call->started = summary.begun && refused == 0;
    TRY(status);
    if (comm_rank(comm) == 0) report_build(&summary, stage);
out:
    build_summary_release(&summary);
    return status;
}

int data_threads(const struct comm *comm, int64_t asked)
{
    cpu_set_t cores;
    if (asked > 0) return (int)asked;
    if (comm_size(comm) > 1 || sched_getaffinity(0, sizeof cores, &cores) != 0) return 1;
    return CPU_COUNT(&cores);
}
