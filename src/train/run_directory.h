/* The directory that holds everything a run writes: made ready, and guarded against a second run
 * with another configuration. */
#ifndef ROBIN_TRAIN_RUN_DIRECTORY_H
#define ROBIN_TRAIN_RUN_DIRECTORY_H

#include <stdint.h>

#include "base/status.h"
#include "config/run_config.h"

/* Of all keys that decide the numbers a run computes. Where it writes, how many threads it has, how
 * often it speaks and saves do not. */
uint64_t run_directory_config_hash(const struct run_config *config);

/* Not collective: rank 0. Creates config->run_dir; if a run left a checkpoint there, its
 * configuration must have the same hash, else ERR_ARGUMENT names the first key that differs.
 * Writes config.yaml (the resolved configuration) and version.txt (of the program that started
 * last). */
enum status run_directory_prepare(const struct run_config *config, const char *version);

#endif
