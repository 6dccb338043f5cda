/* The golden tool: runs folders of reference results through our code and prints, per group of
 * results, the worst difference against its limit. A family is a kind of folder: it says which
 * folders it recognises and computes one. Add a family in a file of its own and list it in
 * golden_registry.c. */
#ifndef ROBIN_TESTS_GOLDEN_H
#define ROBIN_TESTS_GOLDEN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct kernels;
struct mesh;
struct model_share;
struct device;
struct stream;

struct golden_options {
    const struct kernels *kernels; /* which table runs the models */
    struct device *device;
    struct stream *stream;
    const struct kernels *host_kernels; /* and what the host computes; the same on the CPU */
    struct stream *host_stream;
    const struct mesh *mesh;         /* the ranks that run it */
    const struct model_share *share; /* of the language model over mesh->tp; NULL: it is whole */
    bool verbose;                    /* every tensor, every failed case */
};

/* Collects the results of one folder; printed when the family is done. */
struct golden_report;

/* A float result: its difference to the reference and the limit of that difference, in the measure
 * of the family. Kept per group: the worst ratio. NaN fails. */
void golden_report_float(struct golden_report *report, const char *group, const char *name,
                         double difference, double limit);

/* An exact case (text, integers): it passed, or the sentence says what differs (printed for the
 * first few failures of a group, for all with --verbose). */
void golden_report_case(struct golden_report *report, const char *group, bool passed,
                        const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Something of the folder that this build does not compare, and why. */
void golden_report_skip(struct golden_report *report, const char *what, const char *why);

struct golden_family {
    const char *name; /* printed in front of the folder's lines */
    /* True if the folder is of this family: by "family" in config.json or by its JSON files. Must
     * not fail on foreign folders. */
    bool (*recognises)(const char *directory);
    /* Runs the whole folder. An error (a file that is missing or malformed) fails the folder. */
    enum status (*run)(const char *directory, const struct golden_options *options,
                       struct golden_report *report);
};

/* The next family after `previous` (NULL: the first) that recognises the folder; NULL if there is
 * none. A folder of several JSON files may be of several families; all of them are run. */
const struct golden_family *golden_family_of(const char *directory,
                                             const struct golden_family *previous);

/* True if DIRECTORY/config.json is there and its "family" is `family`. */
bool golden_config_names(const char *directory, const char *family);

struct golden_report *golden_report_create(const char *folder, const char *family, bool verbose);
void golden_report_destroy(struct golden_report *report);
enum golden_outcome { GOLDEN_PASSED, GOLDEN_SKIPPED, GOLDEN_FAILED };

/* Prints the folder's table on stdout. Skipped: nothing was compared, and why was reported; nothing
 * compared without a reason is a failure. */
enum golden_outcome golden_report_print(const struct golden_report *report);

#endif
