/* What the `data` commands share. */
#ifndef ROBIN_JOBS_DATA_PARTS_H
#define ROBIN_JOBS_DATA_PARTS_H

#include "comm/comm.h"
#include "corpus/corpus_build.h"
#include "jobs/options.h"

#define N_ROWS(rows) (sizeof(rows) / sizeof(rows)[0])

/* What building and importing share. */
#define OUT_ROW(target)                                                                            \
    {                                                                                              \
        "--out", "DIR", OPTION_TEXT, true, 0, 0, &(target), "the corpus: a folder not there yet"   \
    }
#define THREADS_ROW(target)                                                                        \
    {                                                                                              \
        "--threads", "N", OPTION_INTEGER, false, 1, 1024, &(target),                               \
            "that make records; default: all cores, under mpirun 1"                                \
    }

struct data_usage {
    const char *command; /* "data build" */
    const struct option_row *rows;
    size_t n_rows;
    const char *notes; /* printed behind the options; NULL: none */
};

/* Starts MPI and reads the options, so that what is wrong with them is one line however many ranks
 * there are. With `help_out` set the usage was printed and the command is done. */
enum status data_start(struct comm **comm_out, const struct data_usage *usage,
                       const struct command_call *call, bool *help_out);

/* On standard output. */
enum status data_print(const char *text);

/* Builds under the ranks that were started, and says what came of it. */
enum status data_build(struct command_call *call, struct comm *comm,
                       const struct record_source *source, struct corpus_stage *stage,
                       const struct build_options *options);

/* All cores for a process alone; under mpirun the ranks share them already. */
int data_threads(const struct comm *comm, int64_t asked);

#endif
