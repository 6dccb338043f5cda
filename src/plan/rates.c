/* Rates of machines: built in, from files, to files. */
#include "plan/rates.h"

#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/json_file.h"
#include "base/text_buffer.h"

#define COUNT(array)    (sizeof(array) / sizeof((array)[0]))
#define MAX_RATES_BYTES ((size_t)1 << 20)
#define MIB             1048576.0

/* h200: cuBLASLt, cuDNN and copies as measured steadily, at the power limit; the products of a
 * whole step in sequence 663 TFLOP/s; 770 pictures/s through the tower's forward. Links are the
 * maker's numbers (NVLink 450 GB/s, 400 Gbit/s a card), not measured.
 * h100: the same die, whose copies measured 2.89 TB/s; its products were measured in bursts only
 * and are taken at the h200's share of those.
 * cpu: one thread of an AMD EPYC (two cores), this program's kernels, fp32; links through shared
 * memory of that machine, far ones a 100 Gbit/s network by its maker's number. */
static const struct machine_rates built_in[] = {
    {.name = "h200",
     .half = true,
     .memory = 143771 * MIB - 2048 * MIB,
     .peak = 989.4e12,
     .matrix = 663e12,
     .attention_forward = 489e12,
     .attention_backward = 352e12,
     .vision = 276e12,
     .copy = 4.2e12,
     .gap = 0.015,
     .near = {8e-6, 450e9},
     .far = {20e-6, 50e9},
     .ranks_per_machine = 8},
    {.name = "h100",
     .half = true,
     .memory = 78 * 1024 * MIB - 2048 * MIB,
     .peak = 989.4e12,
     .matrix = 655e12,
     .attention_forward = 489e12,
     .attention_backward = 352e12,
     .vision = 270e12,
     .copy = 2.89e12,
     .gap = 0.015,
     .near = {8e-6, 450e9},
     .far = {20e-6, 50e9},
     .ranks_per_machine = 8},
    {.name = "cpu",
     .peak = 95e9,
     .matrix = 80e9,
     .attention_forward = 40e9,
     .attention_backward = 40e9,
     .vision = 60e9,
     .copy = 10e9,
     .gap = 0.02,
     .near = {20e-6, 3e9},
     .far = {30e-6, 12e9},
     .ranks_per_machine = 2},
};

enum status rates_find(struct machine_rates *rates_out, const char *name)
{
    enum status status = OK;
    struct text_buffer names = {0};
    for (size_t i = 0; i < COUNT(built_in); i++) {
        text_printf(&names, "%s%s", i > 0 ? ", " : "", built_in[i].name);
        if (strcmp(built_in[i].name, name) != 0) continue;
        *rates_out = built_in[i];
        goto out;
    }
    FAIL(ERR_ARGUMENT, "there are no rates of '%s'; there are %s, or a file from plan --calibrate",
         name, text_of(&names));
out:
    text_release(&names);
    return status;
}

#define FIELD(field)                                                                               \
    {                                                                                              \
#field, offsetof(struct machine_rates, field)                                              \
    }
static const struct {
    const char *name;
    size_t offset;
} fields[] = {FIELD(memory),
              FIELD(peak),
              FIELD(matrix),
              FIELD(attention_forward),
              FIELD(attention_backward),
              FIELD(vision),
              FIELD(copy),
              FIELD(gap),
              FIELD(near.latency),
              FIELD(near.bytes),
              FIELD(far.latency),
              FIELD(far.bytes)};

enum status rates_read(struct machine_rates *rates_out, const char *path)
{
    enum status status = OK;
    struct machine_rates rates;
    const char *name = NULL;
    json_t *root = NULL;
    const struct json_place place = {path, "the rates"};
    TRY(rates_find(&rates, "cpu"));
    TRY(json_file_read(&root, path, MAX_RATES_BYTES));
    TRY(json_field_string(&name, root, "name", place));
    snprintf(rates.name, sizeof rates.name, "%s", name);
    rates.half = json_is_true(json_object_get(root, "half"));
    for (size_t i = 0; i < COUNT(fields); i++) {
        double *value = (double *)(void *)((char *)&rates + fields[i].offset);
        if (json_object_get(root, fields[i].name) == NULL) continue;
        TRY(json_field_number(value, root, fields[i].name, place));
        if (!(*value >= 0) || (*value == 0 && strcmp(fields[i].name, "memory") != 0 &&
                               strcmp(fields[i].name, "gap") != 0))
            FAIL(ERR_FORMAT, "%s: %s is %g but must be positive", path, fields[i].name, *value);
    }
    if (json_object_get(root, "ranks_per_machine") != NULL)
        TRY(json_field_integer(&rates.ranks_per_machine, root, "ranks_per_machine", 1, 1000000,
                               place));
    *rates_out = rates;
out:
    json_decref(root);
    return status;
}

enum status rates_write(const struct machine_rates *rates, const char *path)
{
    enum status status = OK;
    json_t *root = json_object();
    json_object_set_new(root, "name", json_string(rates->name));
    json_object_set_new(root, "half", json_boolean(rates->half));
    for (size_t i = 0; i < COUNT(fields); i++) {
        const double *value =
            (const double *)(const void *)((const char *)rates + fields[i].offset);
        json_object_set_new(root, fields[i].name, json_real(*value));
    }
    json_object_set_new(root, "ranks_per_machine", json_integer(rates->ranks_per_machine));
    char *text = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    ASSERT(text != NULL, "the rates could not be written as JSON");
    TRY(file_write_atomic(path, text, strlen(text)));
out:
    free(text);
    json_decref(root);
    return status;
}
