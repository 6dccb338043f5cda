/* The families there are: one line for each, defined in the file named beside it. */
#ifndef ROBIN_TESTS_GOLDEN_FAMILIES_H
#define ROBIN_TESTS_GOLDEN_FAMILIES_H

#include "golden.h"

extern const struct golden_family golden_parameter_names; /* golden_parameters.c */
extern const struct golden_family golden_decay_groups;    /* golden_parameters.c */
extern const struct golden_family golden_convnext;        /* golden_convnext.c */
extern const struct golden_family golden_extractor;       /* golden_extractor.c */
extern const struct golden_family golden_lm;              /* golden_lm.c */
extern const struct golden_family golden_lm_packed;       /* golden_lm.c */
extern const struct golden_family golden_robin;           /* golden_robin.c */
extern const struct golden_family golden_robin_truncated; /* golden_robin.c */
extern const struct golden_family golden_robin_bf16;      /* golden_bf16.c */
extern const struct golden_family golden_generate;        /* golden_generate.c */
extern const struct golden_family golden_schedule;        /* golden_optimizer.c */
extern const struct golden_family golden_adamw;           /* golden_optimizer.c */
extern const struct golden_family golden_train;           /* golden_train.c */
extern const struct golden_family golden_robin_full;      /* golden_full.c */
extern const struct golden_family golden_fingerprint;     /* golden_fingerprint.c */
extern const struct golden_family golden_tokenizer;       /* tokenizer_cases.c */
extern const struct golden_family golden_image;           /* image_cases.c */
extern const struct golden_family golden_rle;             /* rle_cases.c */
extern const struct golden_family golden_box_masks;       /* box_mask_cases.c */
extern const struct golden_family golden_chat;            /* chat_cases.c */
extern const struct golden_family golden_parse;           /* parse_cases.c */
extern const struct golden_family golden_box_text;        /* parse_cases.c */
extern const struct golden_family golden_dataset_text;    /* dataset_text_cases.c */

#endif
