/* MATLAB's .mat files (level 5, little-endian, compressed or not): as much of them as struct
 * arrays, text and matrices need. Nothing of a file is believed: every size is checked against
 * what is there, so a damaged file is named and no more. (libmatio 1.5.23 crashes on damaged
 * ones.) */
#ifndef ROBIN_CORPUS_MATLAB_FILE_H
#define ROBIN_CORPUS_MATLAB_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

struct matlab_file { /* zeroed is empty and releasable */
    char *path;
    unsigned char *bytes; /* as on disk */
    size_t size;
    unsigned char *variable; /* the one that was opened, decompressed */
    size_t variable_size;
};

enum matlab_class { MATLAB_STRUCT = 2, MATLAB_TEXT = 4, MATLAB_NUMBERS = 6 };

struct matlab_value { /* borrowed from the file; zeroed: an empty matrix of numbers */
    enum matlab_class class;
    int64_t height, width;
    /* numbers and text: height * width values of item_size bytes, column after column */
    const unsigned char *data;
    size_t item_size;
    /* a struct array: names of fields, each name_size bytes, then the values element by element */
    const unsigned char *names;
    size_t n_names, name_size;
    size_t size; /* bytes at `data` */
};

/* Reads the file and finds a variable of it.
 * Errors  ERR_IO; ERR_FORMAT: no such file, no such variable, not whole; ERR_LIMIT above 64 MiB on
 * disk or 1 GiB decompressed */
enum status matlab_open(struct matlab_file *file_out, struct matlab_value *value_out,
                        const char *path, const char *variable);
void matlab_release(struct matlab_file *file);

/* A field of element `index` (height * width of them) of a struct array. A field that is not there
 * is an empty matrix. ERR_FORMAT when `object` is no struct or its bytes are not whole. */
enum status matlab_field(struct matlab_value *value_out, const struct matlab_file *file,
                         const struct matlab_value *object, const char *name, int64_t index);

/* How many structs an array holds; 0 for what is none, as MATLAB writes an empty list. */
int64_t matlab_n_structs(const struct matlab_value *value);

/* A row of characters, to free(); what is not ASCII becomes '?'. NULL for anything else. */
char *matlab_text(const struct matlab_value *value);

/* Whether a number of a matrix is not 0. */
bool matlab_is_set(const struct matlab_value *value, int64_t index);

#endif
