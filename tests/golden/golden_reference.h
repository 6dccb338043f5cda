/* The stored tensors of a golden folder, and comparison with them by the rules of golden/README.md.
 * Every stored tensor must be asked for: what nobody compared is reported as a failure. */
#ifndef ROBIN_TESTS_GOLDEN_REFERENCE_H
#define ROBIN_TESTS_GOLDEN_REFERENCE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "golden.h"
#include "model/parameters.h"

struct safetensors;

/* What a float is, which decides its limit. */
enum golden_kind { GOLDEN_FORWARD, GOLDEN_GRADIENT, GOLDEN_TRAINED, N_GOLDEN_KINDS };

struct golden_reference {
    struct golden_report *report;
    struct safetensors *file;
    json_t *noise;     /* NULL: the folder has none */
    json_t *distances; /* NULL: limits are those of the kind */
    double factor;     /* of the distances */
    bool *asked;       /* per tensor */
    double limits[N_GOLDEN_KINDS];
};

/* Opens DIRECTORY/tensors.safetensors and noise.json if there. Zeroed memory is releasable. */
enum status golden_reference_open(struct golden_reference *reference, const char *directory,
                                  struct golden_report *report);
void golden_reference_release(struct golden_reference *reference);
/* For models of full depth, whose folders have no measured noise. */
void golden_reference_allow_depth(struct golden_reference *reference);

/* From now on the limit of a tensor is `factor` times the number that the JSON file has under its
 * name, and tensors without one are not compared. */
enum status golden_reference_use_distances(struct golden_reference *reference, const char *path,
                                           double factor);

bool golden_reference_has(const struct golden_reference *reference, const char *name);
/* Compares n floats with the tensor NAME, stored in full (F32, or F64 of n elements) or as a
 * summary (F64). A missing tensor is a failure of the report. Errors are those of reading. */
enum status golden_compare(struct golden_reference *reference, const char *name, const float *x,
                           int64_t n, enum golden_kind kind);
/* Our packed rows [seq_start[n_sequences], C] with a padded reference [n_sequences, positions, C],
 * at the valid positions only. */
enum status golden_compare_padded(struct golden_reference *reference, const char *name,
                                  const float *x, const int32_t *seq_start, int64_t n_sequences);
enum status golden_compare_number(struct golden_reference *reference, const char *name, double x,
                                  enum golden_kind kind);
enum status golden_compare_numbers(struct golden_reference *reference, const char *name,
                                   const double *x, int64_t n, enum golden_kind kind);
/* The gradients of all parameters of modules that train, under KEY + name. Parameters that the
 * graph never uses must not be stored. */
enum status golden_compare_gradients(struct golden_reference *reference, const char *key,
                                     const struct parameter_table *table, const float *gradients);
enum status golden_compare_integers(struct golden_reference *reference, const char *name,
                                    const int64_t *x, int64_t n);

/* Loads an integer tensor (I64 or U8) into new memory, to free(). dims [*n_dims] may be NULL. */
enum status golden_load_integers(struct golden_reference *reference, const char *name,
                                 int64_t **values_out, int64_t *n_out);
/* A U8 tensor of three dims. */
enum status golden_load_masks(struct golden_reference *reference, const char *name,
                              uint8_t **masks_out, int64_t dims[3]);
/* Everything whose name begins with the prefix is not compared here. */
void golden_leave(struct golden_reference *reference, const char *prefix);
/* Reports the tensors that nobody asked for. */
void golden_reference_finish(struct golden_reference *reference);

/* Summary [L2 norm, sum, k entries] against x: the worst difference, in units of a relative one. */
double golden_summary_difference(const double *summary, int64_t k, const float *x, int64_t n);
/* Relative L2 difference; infinite where an exact zero is not met. */
double golden_difference(const float *reference, const float *x, int64_t n);

#endif
