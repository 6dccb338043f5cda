/* See golden_reference.h. */
#include "golden_reference.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"
#include "checkpoint/safetensors.h"

#define MAX_SUMMARY 4096

enum status golden_reference_open(struct golden_reference *reference, const char *directory,
                                  struct golden_report *report)
{
    enum status status = OK;
    char *tensors = path_join(directory, "tensors.safetensors");
    char *noise = path_join(directory, "noise.json");
    *reference = (struct golden_reference){
        .report = report,
        .limits = {[GOLDEN_FORWARD] = 1e-5, [GOLDEN_GRADIENT] = 3e-5, [GOLDEN_TRAINED] = 1e-4}};
    TRY(safetensors_open(&reference->file, tensors));
    if (file_exists(noise)) TRY(json_file_read(&reference->noise, noise, 16 << 20));
    reference->asked = memory_new((size_t)safetensors_count(reference->file) + 1, sizeof(bool));
out:
    free(noise);
    free(tensors);
    return status;
}

void golden_reference_release(struct golden_reference *reference)
{
    safetensors_close(reference->file);
    json_decref(reference->noise);
    json_decref(reference->distances);
    free(reference->asked);
    *reference = (struct golden_reference){0};
}

void golden_reference_allow_depth(struct golden_reference *reference)
{
    reference->limits[GOLDEN_FORWARD] = 5e-5;
    reference->limits[GOLDEN_GRADIENT] = 3e-4;
}

/* ---- finding ---- */

static const struct safetensor *ask(struct golden_reference *reference, const char *name)
{
    for (int64_t i = 0; i < safetensors_count(reference->file); i++) {
        const struct safetensor *tensor = safetensors_at(reference->file, i);
        if (strcmp(tensor->name, name) != 0) continue;
        reference->asked[i] = true;
        return tensor;
    }
    return NULL;
}

bool golden_reference_has(const struct golden_reference *reference, const char *name)
{
    return safetensors_find(reference->file, name) != NULL;
}

enum status golden_reference_use_distances(struct golden_reference *reference, const char *path,
                                           double factor)
{
    enum status status = OK;
    size_t n_found = 0;
    reference->factor = factor;
    TRY(json_file_read(&reference->distances, path, 1 << 20));
    for (int64_t i = 0; i < safetensors_count(reference->file); i++) {
        const char *name = safetensors_at(reference->file, i)->name;
        const bool has = json_object_get(reference->distances, name) != NULL;
        if (!has) reference->asked[i] = true;
        n_found += has;
    }
    golden_report_case(reference->report, "compared",
                       n_found == json_object_size(reference->distances) && n_found > 0,
                       "%zu of the %zu tensors of %s are stored", n_found,
                       json_object_size(reference->distances), path);
out:
    return status;
}

void golden_leave(struct golden_reference *reference, const char *prefix)
{
    for (int64_t i = 0; i < safetensors_count(reference->file); i++) {
        const char *name = safetensors_at(reference->file, i)->name;
        if (strncmp(name, prefix, strlen(prefix)) == 0) reference->asked[i] = true;
    }
}

void golden_reference_finish(struct golden_reference *reference)
{
    for (int64_t i = 0; i < safetensors_count(reference->file); i++) {
        const char *name = safetensors_at(reference->file, i)->name;
        if (!reference->asked[i])
            golden_report_case(reference->report, "compared", false, "nobody compared %s", name);
    }
}

/* "grad" of "grad.model.norm.weight", "RUN.final" of "RUN.final.model.norm.weight". */
static char *group_of(const char *name)
{
    struct text_buffer group = {0};
    const char *final = strstr(name, ".final.");
    text_append_bytes(&group, name, strcspn(name, "."));
    if (final == name + group.length) text_append(&group, ".final");
    return text_take(&group);
}

static double limit_of(const struct golden_reference *reference, const char *name,
                       enum golden_kind kind)
{
    double limit = reference->limits[kind];
    if (reference->distances != NULL)
        return reference->factor * json_number_value(json_object_get(reference->distances, name));
    double noise = json_number_value(json_object_get(reference->noise, name));
    return 5 * noise > limit ? 5 * noise : limit;
}

static void report_float(struct golden_reference *reference, const char *name, double difference,
                         enum golden_kind kind)
{
    char *group = group_of(name);
    golden_report_float(reference->report, group, name, difference,
                        limit_of(reference, name, kind));
    free(group);
}

static void report_wrong(struct golden_reference *reference, const char *name, const char *what)
{
    golden_report_case(reference->report, "compared", false, "%s: %s", name, what);
}

/* ---- measures ---- */

double golden_difference(const float *reference, const float *x, int64_t n)
{
    double square = 0;
    double norm = 0;
    for (int64_t i = 0; i < n; i++) {
        double difference = (double)x[i] - (double)reference[i];
        if (reference[i] == 0 && x[i] != 0) return INFINITY;
        square += difference * difference;
        norm += (double)reference[i] * (double)reference[i];
    }
    return norm > 0 ? sqrt(square / norm) : sqrt(square);
}

double golden_summary_difference(const double *summary, int64_t k, const float *x, int64_t n)
{
    double norm = 0;
    double sum = 0;
    for (int64_t i = 0; i < n; i++) {
        norm += (double)x[i] * (double)x[i];
        sum += (double)x[i];
    }
    norm = sqrt(norm);
    double wanted = summary[0];
    if (wanted == 0) return norm == 0 ? 0 : INFINITY;
    double typical = wanted / sqrt((double)n); /* of one element */
    double worst = fabs(norm - wanted) / wanted;
    worst = fmax(worst, fabs(sum - summary[1]) / (wanted * sqrt((double)n)));
    for (int64_t j = 0; j < k; j++) {
        double entry = summary[2 + j];
        double found = (double)x[(2 * j + 1) * n / (2 * k)];
        worst = fmax(worst, fabs(found - entry) / (10 * fmax(fabs(entry), typical)));
        if (entry == 0 && found != 0) return INFINITY;
    }
    return isnan(norm) ? NAN : worst;
}

/* ---- comparing ---- */

static enum status compare_full(struct golden_reference *reference, const struct safetensor *tensor,
                                const float *x, enum golden_kind kind)
{
    enum status status = OK;
    float *wanted = memory_new((size_t)tensor->n_elements + 1, sizeof *wanted);
    TRY(safetensors_read_float(reference->file, tensor, wanted, 0, tensor->n_elements));
    report_float(reference, tensor->name, golden_difference(wanted, x, tensor->n_elements), kind);
out:
    free(wanted);
    return status;
}

static enum status compare_summary(struct golden_reference *reference,
                                   const struct safetensor *tensor, const float *x, int64_t n,
                                   enum golden_kind kind)
{
    enum status status = OK;
    double summary[MAX_SUMMARY];
    TRY(safetensors_read(reference->file, tensor, summary, 0, tensor->n_elements));
    report_float(reference, tensor->name,
                 golden_summary_difference(summary, tensor->n_elements - 2, x, n), kind);
out:
    return status;
}

enum status golden_compare(struct golden_reference *reference, const char *name, const float *x,
                           int64_t n, enum golden_kind kind)
{
    enum status status = OK;
    const struct safetensor *tensor = ask(reference, name);
    if (tensor == NULL || x == NULL) {
        report_wrong(reference, name, tensor == NULL ? "is not stored" : "was not computed");
        goto out;
    }
    bool is_float = tensor->dtype == DTYPE_F32 || tensor->dtype == DTYPE_F64;
    if (is_float && tensor->n_elements == n) {
        TRY(compare_full(reference, tensor, x, kind));
    } else if (tensor->dtype == DTYPE_F64 && tensor->n_elements > 2 &&
               tensor->n_elements <= MAX_SUMMARY) {
        TRY(compare_summary(reference, tensor, x, n, kind));
    } else {
        report_wrong(reference, name, "is stored in another shape or type");
    }
out:
    return status;
}

enum status golden_compare_padded(struct golden_reference *reference, const char *name,
                                  const float *x, const int32_t *seq_start, int64_t n_sequences)
{
    enum status status = OK;
    float *wanted = NULL;
    const struct safetensor *tensor = ask(reference, name);
    if (tensor == NULL || tensor->n_dims != 3 || tensor->dims[0] != n_sequences) {
        report_wrong(reference, name, "is not stored as [sequences, positions, width]");
        goto out;
    }
    int64_t c = tensor->dims[2];
    wanted = memory_new((size_t)(seq_start[n_sequences] * c) + 1, sizeof *wanted);
    for (int64_t s = 0; s < n_sequences; s++) {
        int64_t length = seq_start[s + 1] - seq_start[s];
        if (length > tensor->dims[1]) {
            report_wrong(reference, name, "has fewer positions than our sequence");
            goto out;
        }
        TRY(safetensors_read_float(reference->file, tensor, wanted + seq_start[s] * c,
                                   s * tensor->dims[1] * c, length * c));
    }
    report_float(reference, name, golden_difference(wanted, x, seq_start[n_sequences] * c),
                 GOLDEN_FORWARD);
out:
    free(wanted);
    return status;
}

enum status golden_compare_numbers(struct golden_reference *reference, const char *name,
                                   const double *x, int64_t n, enum golden_kind kind)
{
    enum status status = OK;
    double *wanted = NULL;
    const struct safetensor *tensor = ask(reference, name);
    if (tensor == NULL || tensor->dtype != DTYPE_F64 || tensor->n_elements != n) {
        report_wrong(reference, name, "is not stored as so many float64");
        goto out;
    }
    wanted = memory_new((size_t)n + 1, sizeof *wanted);
    TRY(safetensors_read(reference->file, tensor, wanted, 0, n));
    double square = 0, norm = 0;
    for (int64_t i = 0; i < n; i++) {
        square += (x[i] - wanted[i]) * (x[i] - wanted[i]);
        norm += wanted[i] * wanted[i];
    }
    report_float(reference, name, norm > 0 ? sqrt(square / norm) : sqrt(square), kind);
out:
    free(wanted);
    return status;
}

enum status golden_compare_number(struct golden_reference *reference, const char *name, double x,
                                  enum golden_kind kind)
{
    return golden_compare_numbers(reference, name, &x, 1, kind);
}

enum status golden_compare_gradients(struct golden_reference *reference, const char *key,
                                     const struct parameter_table *table, const float *gradients)
{
    enum status status = OK;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        if (parameter->gradient_offset < 0) continue;
        char *name = text_format("%s%s", key, parameter->name);
        status = golden_compare(reference, name, gradients + parameter->gradient_offset,
                                parameter->n_elements, GOLDEN_GRADIENT);
        free(name);
        TRY(status);
    }
out:
    return status;
}

/* ---- integers ---- */

enum status golden_load_integers(struct golden_reference *reference, const char *name,
                                 int64_t **values_out, int64_t *n_out)
{
    enum status status = OK;
    int64_t *values = NULL;
    uint8_t *bytes = NULL;
    const struct safetensor *tensor = ask(reference, name);
    if (tensor == NULL || (tensor->dtype != DTYPE_I64 && tensor->dtype != DTYPE_U8))
        FAIL(ERR_FORMAT, "%s: no integer tensor '%s'", safetensors_path(reference->file), name);
    values = memory_new((size_t)tensor->n_elements + 1, sizeof *values);
    if (tensor->dtype == DTYPE_I64) {
        TRY(safetensors_read(reference->file, tensor, values, 0, tensor->n_elements));
    } else {
        bytes = memory_new((size_t)tensor->n_elements + 1, 1);
        TRY(safetensors_read(reference->file, tensor, bytes, 0, tensor->n_elements));
        for (int64_t i = 0; i < tensor->n_elements; i++) values[i] = bytes[i];
    }
    *values_out = values;
    *n_out = tensor->n_elements;
    values = NULL;
out:
    free(bytes);
    free(values);
    return status;
}

enum status golden_load_masks(struct golden_reference *reference, const char *name,
                              uint8_t **masks_out, int64_t dims[3])
{
    enum status status = OK;
    uint8_t *masks = NULL;
    const struct safetensor *tensor = ask(reference, name);
    if (tensor == NULL || tensor->dtype != DTYPE_U8 || tensor->n_dims != 3)
        FAIL(ERR_FORMAT, "%s: '%s' is no uint8 tensor [regions, height, width]",
             safetensors_path(reference->file), name);
    masks = memory_new((size_t)tensor->n_elements + 1, 1);
    TRY(safetensors_read(reference->file, tensor, masks, 0, tensor->n_elements));
    memcpy(dims, tensor->dims, 3 * sizeof dims[0]);
    *masks_out = masks;
    masks = NULL;
out:
    free(masks);
    return status;
}

enum status golden_compare_integers(struct golden_reference *reference, const char *name,
                                    const int64_t *x, int64_t n)
{
    enum status status = OK;
    int64_t *wanted = NULL;
    int64_t n_wanted = 0;
    TRY(golden_load_integers(reference, name, &wanted, &n_wanted));
    int64_t first = 0;
    while (first < n && first < n_wanted && x[first] == wanted[first]) first++;
    char *group = group_of(name);
    golden_report_case(reference->report, group, first == n && first == n_wanted,
                       "%s: differs from element %lld of %lld", name, (long long)first,
                       (long long)n_wanted);
    free(group);
out:
    free(wanted);
    return status;
}
