/* How a checkpoint comes to be: written aside, brought to disk, renamed, named in `latest`; older
 * ones go afterwards. One rank does this; between its calls all ranks write their shards. At every
 * instant there is a whole checkpoint, if there was one before. */
#ifndef ROBIN_CHECKPOINT_CHECKPOINT_COMMIT_H
#define ROBIN_CHECKPOINT_CHECKPOINT_COMMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"
#include "checkpoint/file_layer.h"

struct checkpoint_place {
    const struct file_layer *layer;
    const char *directory;
};

/* Makes DIRECTORY/NAME.partial and removes what killed runs left. *name_out is to free(). */
enum status checkpoint_begin(const struct checkpoint_place *place, int64_t step, char **name_out);
/* DIRECTORY/NAME.partial, to free(). */
char *checkpoint_aside(const struct checkpoint_place *place, const char *name);

/* When all shards are on disk: writes the manifest, reads it back as a run that resumes does, and
 * renames. After a failure it may be there under its name or not, but never in part. */
enum status checkpoint_publish(const struct checkpoint_place *place, const char *name,
                               const char *manifest, size_t size);
/* Removes what was written aside, as far as that goes; the sentence of why stays. */
void checkpoint_abandon(const struct checkpoint_place *place, const char *name);

struct checkpoint_keep {
    int64_t last;  /* so many of the newest; 0: all */
    int64_t every; /* and those whose step is a multiple; 0: none */
};
/* Which checkpoints of the directory may go: not the newest that are whole by their manifest and
 * the sizes of their files, not the one that `latest` names; damaged ones only where `last` whole
 * ones are newer. Paths, to names_free. */
enum status checkpoint_prunable(char ***paths_out, size_t *n_out, const char *directory,
                                const struct checkpoint_keep *keep);
/* Takes it away so that no part of it is left under its name. */
enum status checkpoint_remove(const struct file_layer *layer, const char *path);
/* Both. */
enum status checkpoint_prune(const struct checkpoint_place *place,
                             const struct checkpoint_keep *keep);

#endif
