/* What a run came to: a summary in words, and a page of curves. */
#ifndef ROBIN_REPORT_RUN_REPORT_H
#define ROBIN_REPORT_RUN_REPORT_H

#include "base/status.h"

/* RUN is the directory of a training run, or of a curriculum: then of all its stages that have
 * begun. The summary and the page (self-contained HTML with SVG) are to be freed.
 * ERR_IO, ERR_FORMAT if there is no run, or its files are not what they must be. */
enum status run_report(char **summary_out, char **page_out, const char *run);

#endif
