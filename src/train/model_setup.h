/* From the configuration's plain values to the model's own structs. */
#ifndef ROBIN_TRAIN_MODEL_SETUP_H
#define ROBIN_TRAIN_MODEL_SETUP_H

#include <stdbool.h>

#include "config/run_config.h"
#include "model/parameters.h"

/* The sizes of the model; not checked (parameter_table_create does that). */
struct model_config model_config_from(const struct run_config *config);

/* Which modules `names` lists: vision_tower, projector, mask_extractor, lm. ERR_ARGUMENT naming an
 * unknown one. */
enum status modules_from_names(bool modules_out[N_MODULES], char *const *names, int64_t n_names);

#endif
