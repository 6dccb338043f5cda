/* What becomes of finished items: shards that stage 2 trains on, lines in the released layouts, a
 * ledger of every decision, the report. All of it is a pure function of the journal's finished
 * items, so it does not matter which rank did what, or how often the run was stopped. */
#ifndef ROBIN_SGEDIT_GENERATE_OUTPUT_H
#define ROBIN_SGEDIT_GENERATE_OUTPUT_H

#include "base/status.h"
#include "comm/comm.h"
#include "config/run_config.h"
#include "corpus/record.h"
#include "corpus/shard.h"
#include "sgedit/edit_graph.h"
#include "sgedit/journal.h"

struct generate_output {
    struct comm *comm;
    const struct run_config *config;
    const struct corpus *corpus;
    const struct journal *journal; /* after journal_gather */
    const char *drafter, *teacher; /* for provenance; teacher "" none */
    const char *identity;          /* of an interrupted build, one line */
    int64_t n_items;
};

/* Collective. The corpus (kept if it is there), then RUN_DIR/sg or relations/, RUN_DIR/ledger/,
 * report.json, report.txt and page.html. ERR_LIMIT when more pictures failed than
 * generate.max_failed allows; ERR_DIVERGED, all written, when a row of generate.gains is missed. */
enum status generate_output(const struct generate_output *output);

/* Item `item` as the journal has it, boxes of the record's regions set. */
enum status generate_read_item(struct edit_graph *graph_out, struct record *record_out,
                               const struct generate_output *output, int64_t item);

#endif
