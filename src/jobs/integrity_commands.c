/* See integrity_commands.h. */
#include "jobs/integrity_commands.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/file.h"
#include "base/log.h"
#include "corpus/corpus_diff.h"
#include "corpus/corpus_repair.h"
#include "corpus/corpus_verify.h"
#include "jobs/data_parts.h"

#define READERS_ROW(target)                                                                        \
    {                                                                                              \
        "--threads", "N", OPTION_INTEGER, false, 1, 1024, &(target),                               \
            "that read records; default: all cores, under mpirun 1"                                \
    }

struct verify_call {
    const char *directory, *journal;
    bool pictures;
    int64_t n_threads;
};

/* Rank 0 prints what all ranks and the runs before found. */
static enum status report_verify(struct comm *comm, const struct verify_result *result,
                                 const struct verify_journal *journal,
                                 const struct verify_call *asked)
{
    enum status status = OK;
    char **lines = NULL;
    int64_t counts[2] = {result->n_records, result->n_damaged};
    const size_t n_ranks = (size_t)comm_size(comm);
    const bool speaks = comm_rank(comm) == 0;
    TRY(comm_gather_strings(comm, &lines, text_of(&result->lines)));
    TRY(comm_sum_int64(comm, counts, 2));
    if (speaks && journal->n_done > 0)
        log_info("%s: %" PRId64 " of %" PRId64 " shards were done by runs before", asked->directory,
                 journal->n_done, journal->n_shards);
    if (speaks) TRY(data_print(text_of(&journal->lines)));
    for (size_t rank = 0; lines != NULL && rank < n_ranks; rank++) TRY(data_print(lines[rank]));
    counts[0] += journal->n_records;
    counts[1] += journal->n_damaged;
    if (speaks && asked->journal != NULL) TRY(verify_journal_remove(asked->journal));
    if (counts[1] > 0 && speaks)
        FAIL(ERR_FORMAT,
             "%s: %" PRId64 " damaged of %" PRId64
             " records looked at; listed above; 'robin-dist data repair' keeps the others",
             asked->directory, counts[1], counts[0]);
    if (speaks) log_info("%s: %" PRId64 " records, all whole", asked->directory, counts[0]);
out:
    if (lines != NULL) names_free(lines, n_ranks);
    return status;
}

enum status data_verify_command(struct command_call *call)
{
    enum status status = OK;
    struct comm *comm = NULL;
    struct verify_result result = {0};
    struct verify_journal journal = {0};
    struct verify_call asked = {0};
    const struct option_row rows[] = {
        {"DIR", NULL, OPTION_TEXT, true, 0, 0, &asked.directory, "the corpus"},
        {"--journal", "FILE", OPTION_TEXT, false, 0, 0, &asked.journal,
         "note the shards that are done in FILE.RANK, and skip those that an interrupted run "
         "noted; "
         "removed at the end; default: none"},
        {"--pictures", NULL, OPTION_FLAG, false, 0, 0, &asked.pictures, "decode every picture too"},
        READERS_ROW(asked.n_threads),
    };
    const struct data_usage usage = {"data verify", rows, N_ROWS(rows), NULL};
    bool help;
    TRY(data_start(&comm, &usage, call, &help));
    if (help) goto out;
    if (asked.journal != NULL)
        TRY(comm_agree(comm, verify_journal_read(&journal, asked.directory, asked.journal)));
    const struct verify_options options = {comm_rank(comm), comm_size(comm),
                                           data_threads(comm, asked.n_threads), asked.pictures,
                                           asked.journal};
    TRY(comm_agree(comm, corpus_verify(&result, asked.directory, &options,
                                       asked.journal != NULL ? &journal : NULL)));
    call->started = true;
    TRY(comm_agree(comm, report_verify(comm, &result, &journal, &asked)));
out:
    verify_journal_release(&journal);
    text_release(&result.lines);
    comm_end(comm, status);
    return status;
}

/* One process: ids of both corpora have to meet. */
static enum status diff(struct command_call *call, const char *a, const char *b, int n_threads)
{
    enum status status = OK;
    struct diff_result result = {0};
    TRY(corpus_diff(&result, a, b, n_threads));
    call->started = true;
    TRY(data_print(text_of(&result.lines)));
    log_info("%" PRId64 " records are the same, %" PRId64 " changed, %" PRId64
             " only in %s, %" PRId64 " only in %s, %" PRId64 " in another order",
             result.n_same, result.n_changed, result.n_removed, a, result.n_added, b,
             result.n_moved);
    if (result.n_changed + result.n_removed + result.n_added + result.n_moved > 0)
        FAIL(ERR_FORMAT, "%s and %s differ", a, b);
out:
    text_release(&result.lines);
    return status;
}

enum status data_diff_command(struct command_call *call)
{
    enum status status = OK;
    struct comm *comm = NULL;
    const char *a = NULL;
    const char *b = NULL;
    int64_t n_threads = 0;
    const struct option_row rows[] = {
        {"A", NULL, OPTION_TEXT, true, 0, 0, &a, "a corpus"},
        {"B", NULL, OPTION_TEXT, true, 0, 0, &b, "another"},
        READERS_ROW(n_threads),
    };
    const struct data_usage usage = {
        "data diff", rows, N_ROWS(rows),
        "\n\"- ID\": only in A, \"+ ID\": only in B, \"! ID: FIELD: OLD "
        "-> NEW\". Exit code 1 when they "
        "differ.\n"};
    bool help;
    TRY(data_start(&comm, &usage, call, &help));
    if (help) goto out;
    TRY(comm_agree(comm,
                   comm_rank(comm) == 0 ? diff(call, a, b, data_threads(comm, n_threads)) : OK));
out:
    comm_end(comm, status);
    return status;
}

static enum status repair(const char *directory, const char *out_directory)
{
    enum status status = OK;
    struct repair_result result = {0};
    if (out_directory == NULL) {
        TRY(corpus_repair_index(&result, directory));
        log_info("%s: the index of corpus '%s' is written anew: %" PRId64 " shards, %" PRId64
                 " records, all whole",
                 directory, result.name, result.n_shards, result.n_records);
    } else {
        TRY(corpus_repair_copy(&result, directory, out_directory));
        log_info("wrote %s: %" PRId64 " records of the %" PRId64 " shards of %s; %" PRId64
                 " were dropped, each a line of %s.dropped.jsonl",
                 out_directory, result.n_records, result.n_shards, directory, result.n_dropped,
                 out_directory);
    }
out:
    free(result.name);
    return status;
}

enum status data_repair_command(struct command_call *call)
{
    enum status status = OK;
    struct comm *comm = NULL;
    const char *directory = NULL;
    const char *out_directory = NULL;
    const struct option_row rows[] = {
        {"DIR", NULL, OPTION_TEXT, true, 0, 0, &directory, "the damaged corpus"},
        {"--out", "NEW", OPTION_TEXT, false, 0, 0, &out_directory,
         "copy what is whole into this new corpus; default: write the index anew, when all shards "
         "are "
         "whole"},
    };
    const struct data_usage usage = {"data repair", rows, N_ROWS(rows), NULL};
    bool help;
    TRY(data_start(&comm, &usage, call, &help));
    if (help) goto out;
    call->started = true;
    TRY(comm_agree(comm, comm_rank(comm) == 0 ? repair(directory, out_directory) : OK));
out:
    comm_end(comm, status);
    return status;
}
