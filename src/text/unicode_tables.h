/* The generated tables behind text/unicode.h; sorted, for binary search. */
#ifndef ROBIN_TEXT_UNICODE_TABLES_H
#define ROBIN_TEXT_UNICODE_TABLES_H

#include <stddef.h>
#include <stdint.h>

struct unicode_range {
    uint32_t first, last;
    uint32_t value;
};
struct unicode_triple {
    uint32_t a, b, c;
};

/* Code points from 128 that are letters (1) or numbers (2). */
extern const struct unicode_range unicode_classes[];
extern const size_t n_unicode_classes;
/* Canonical combining classes that are not 0. */
extern const struct unicode_range unicode_marks[];
extern const size_t n_unicode_marks;
/* Where a text holds none of these, it is in form C already. */
extern const struct unicode_range unicode_attention[];
extern const size_t n_unicode_attention;
/* The digit zero of every script that has decimal digits; nine more follow each. */
extern const uint32_t unicode_zeros[];
extern const size_t n_unicode_zeros;
/* a becomes b, c (c 0: b alone), sorted by a. Hangul syllables are not in it. */
extern const struct unicode_triple unicode_decompositions[];
extern const size_t n_unicode_decompositions;
/* Indices of the decompositions that form C undoes, sorted by b, then c. */
extern const uint16_t unicode_compositions[];
extern const size_t n_unicode_compositions;

#endif
