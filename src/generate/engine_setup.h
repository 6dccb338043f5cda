/* From the configuration's plain values to those of the engine. */
#ifndef ROBIN_GENERATE_ENGINE_SETUP_H
#define ROBIN_GENERATE_ENGINE_SETUP_H

#include "config/run_config.h"
#include "generate/ask.h"

/* Of the keys decode.*, data.image_mode and seed. */
struct engine_options engine_options_from(const struct run_config *config);
struct ask_options ask_options_from(const struct run_config *config, enum ask_mode mode);
/* What a model must hold so that an engine can run it. */
struct model_limits engine_model_limits(const struct run_config *config);

#endif
