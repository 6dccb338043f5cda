/* Nearness of words: the number of letters inserted, removed, replaced or swapped. */
#include "config/config_suggest.h"

#include <stdlib.h>
#include <string.h>

#include "base/text_buffer.h"
#include "config/config_table.h"

#define MAX_WORD 128 /* longer keys are never typing errors */

static size_t smaller(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Optimal string alignment distance (Levenshtein with swaps of neighbours). */
static size_t edit_distance(const char *a, const char *b)
{
    size_t n = strlen(a), m = strlen(b);
    if (n > MAX_WORD || m > MAX_WORD) return MAX_WORD;
    size_t rows[3][MAX_WORD + 1];
    for (size_t j = 0; j <= m; j++) rows[0][j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above_that = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
            row[j] = smaller(replaced, smaller(above[j], row[j - 1]) + 1);
            bool swapped = i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1];
            if (swapped) row[j] = smaller(row[j], above_that[j - 2] + 1);
        }
    }
    return rows[n % 3][m];
}

static const char *last_word(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL ? dot + 1 : path;
}

char *config_suggest(const char *path)
{
    const char *nearest = NULL;
    const size_t length = strlen(path);
    size_t nearest_distance = length / 4 + 1;
    for (size_t i = 0; i < n_config_keys; i++) {
        const size_t other = strlen(config_keys[i].path);
        if (larger(length, other) - smaller(length, other) > nearest_distance) continue;
        size_t distance = edit_distance(path, config_keys[i].path);
        if (distance > nearest_distance || (nearest != NULL && distance == nearest_distance))
            continue;
        nearest = config_keys[i].path;
        nearest_distance = distance;
    }
    if (nearest != NULL) return text_copy(nearest);
    /* The right word in the wrong group: train.lr for optimizer.lr. */
    for (size_t i = 0; i < n_config_keys; i++)
        if (strcmp(last_word(path), last_word(config_keys[i].path)) == 0)
            return text_copy(config_keys[i].path);
    return NULL;
}
