/* The table of keys: parsing, checking, help, the reference file and the resolved configuration all
 * come from it. */
#ifndef ROBIN_CONFIG_CONFIG_TABLE_H
#define ROBIN_CONFIG_CONFIG_TABLE_H

#include <stddef.h>

#include "config/run_config.h"

enum config_type {
    CONFIG_BOOLEAN, /* bool */
    CONFIG_INTEGER, /* int64_t */
    CONFIG_NUMBER,  /* double */
    CONFIG_STRING,  /* char * */
    CONFIG_CHOICE,  /* int */
    CONFIG_INTEGERS,
    CONFIG_NUMBERS,
    CONFIG_STRINGS, /* with choices: each of them one of these */
    CONFIG_MAPPINGS /* an array of structs at `offset`, its int64_t count at `count_offset` */
};

struct config_key {
    const char *path; /* "train.global_batch"; inside a list of mappings "data.sources[].corpus" */
    enum config_type type;
    size_t offset;        /* in struct run_config, or in the list's struct */
    const char *fallback; /* the default, as YAML; NULL: the key must be given */
    double min, max;      /* of a number or of each in a list */
    const char *choices;  /* "cosine|constant"; NULL: any word */
    const char *unit;     /* "" where there is none */
    const char *sentence;
    int64_t n_values;    /* of a list: so many; 0: any number */
    size_t count_offset; /* CONFIG_MAPPINGS only */
    size_t element_size; /* CONFIG_MAPPINGS only */
};

extern const struct config_key config_keys[];
extern const size_t n_config_keys;

#endif
