/* The list of golden families. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/json_file.h"
#include "golden.h"
#include "golden_families.h"

/* clang-format off */
static const struct golden_family *const families[] = {
    &golden_parameter_names,
    &golden_decay_groups,
    &golden_convnext,
    &golden_extractor,
    &golden_lm,
    &golden_lm_packed,
    &golden_robin,
    &golden_robin_truncated,
    &golden_robin_bf16,
    &golden_generate,
    &golden_schedule,
    &golden_adamw,
    &golden_train,
    &golden_robin_full,
    &golden_fingerprint,
    &golden_tokenizer,
    &golden_dataset_text,
    &golden_box_text,
    &golden_parse,
    &golden_chat,
    &golden_image,
    &golden_rle,
    &golden_box_masks,
};
/* clang-format on */

const struct golden_family *golden_family_of(const char *directory,
                                             const struct golden_family *previous)
{
    bool passed_it = previous == NULL;
    for (size_t i = 0; i < sizeof families / sizeof families[0]; i++) {
        if (passed_it && families[i]->recognises(directory)) return families[i];
        passed_it = passed_it || families[i] == previous;
    }
    return NULL;
}

bool golden_config_names(const char *directory, const char *family)
{
    char *path = path_join(directory, "config.json");
    json_t *root = NULL;
    bool same = false;
    if (file_exists(path) && json_file_read(&root, path, 1 << 20) == OK) {
        const json_t *name = json_object_get(root, "family");
        same = json_is_string(name) && strcmp(json_string_value(name), family) == 0;
    }
    status_clear();
    json_decref(root);
    free(path);
    return same;
}
