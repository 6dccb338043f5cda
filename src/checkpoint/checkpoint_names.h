/* What checkpoints are called and where they are: DIRECTORY/step-000001234, later attempts at the
 * same step step-000001234-2 and so on, in the first format step-000001234.ckpt. */
#ifndef ROBIN_CHECKPOINT_CHECKPOINT_NAMES_H
#define ROBIN_CHECKPOINT_CHECKPOINT_NAMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/status.h"

#define CHECKPOINT_MANIFEST "manifest.json"
#define CHECKPOINT_LATEST   "latest"
#define CHECKPOINT_PARTIAL  ".partial" /* behind the name: being written */
#define CHECKPOINT_REMOVED  ".removed" /* being removed */

struct checkpoint_name {
    char *name;
    int64_t step, attempt; /* attempt 1 has no suffix; 0: the first format */
};

/* What a killed run left of one being written or removed. */
bool checkpoint_name_is_leftover(const char *name);

/* The checkpoints of a directory, newest first: by step, then by attempt. None where it does not
 * exist. */
enum status checkpoint_names_list(struct checkpoint_name **names_out, size_t *n_out,
                                  const char *directory);
void checkpoint_names_free(struct checkpoint_name *names, size_t n);

/* A name for a checkpoint of this step that nothing in the directory has, to free(). */
enum status checkpoint_name_new(char **name_out, const char *directory, int64_t step);

/* Their paths in the same order, to names_free. */
enum status checkpoint_paths_in(char ***paths_out, size_t *n_out, const char *directory);

/* What people name: a checkpoint itself (a folder with a manifest, or a file), or the checkpoints
 * of a folder, of a run directory, or beside the file `latest`: their paths, newest first; at least
 * one, or ERR_IO. names_free. */
enum status checkpoint_paths_of(char ***paths_out, size_t *n_out, const char *path);

#endif
