#include "jobs/report_command.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "jobs/options.h"
#include "report/run_report.h"

enum status report_command(struct command_call *call)
{
    enum status status = OK;
    const char *run = NULL, *html = "";
    char *summary = NULL, *page = NULL, *path = NULL;
    bool helped = false;
    const struct option_row rows[] = {
        {"RUN", NULL, OPTION_TEXT, true, 0, 0, &run, "directory of a run or a curriculum"},
        {"--html", "FILE", OPTION_TEXT, false, 0, 0, &html,
         "page to write, default RUN/report.html"},
    };
    TRY(options_read(rows, 2, "report", call, &helped));
    if (helped) goto out;
    TRY(run_report(&summary, &page, run));
    path = html[0] != '\0' ? text_copy(html) : path_join(run, "report.html");
    TRY(file_write_atomic(path, page, strlen(page)));
    printf("%scurves: %s\n", summary, path);
out:
    free(path);
    free(page);
    free(summary);
    return status;
}
