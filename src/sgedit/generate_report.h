/* What a generation came to, in numbers and on a page. */
#ifndef ROBIN_SGEDIT_GENERATE_REPORT_H
#define ROBIN_SGEDIT_GENERATE_REPORT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "comm/comm.h"
#include "corpus/record.h"
#include "sgedit/edit_graph.h"
#include "sgedit/graph_score.h"

struct generate_output;
struct generate_report;

struct generate_report *generate_report_new(void);
void generate_report_free(struct generate_report *report);

/* The record is the graph's, of generate.corpus: what it has annotated is compared. */
void generate_report_add(struct generate_report *report, const struct edit_graph *graph,
                         const struct record *record, bool left_out);

/* Collective. Rank 0 has the counts of all ranks afterwards. */
enum status generate_report_merge(struct generate_report *report, struct comm *comm);

int64_t generate_report_failed(const struct generate_report *report);
const char *generate_report_first_failure(const struct generate_report *report);
/* Summed over the pictures written that have relations annotated. */
struct graph_score generate_report_score(const struct generate_report *report);

/* Rank 0: report.json, report.txt (also on standard output) and page.html in the run directory. */
enum status generate_report_write(const struct generate_report *report,
                                  const struct generate_output *output);

#endif
