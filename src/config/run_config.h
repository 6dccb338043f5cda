/* What a run was asked to do, as plain values: one field per row of the key table. A new key is a
 * field here and a row in config_table.c, nothing else. */
#ifndef ROBIN_CONFIG_RUN_CONFIG_H
#define ROBIN_CONFIG_RUN_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/status.h"

struct config_integers {
    int64_t *values;
    int64_t n;
};

struct config_numbers {
    double *values;
    int64_t n;
};

struct config_strings {
    char **values;
    int64_t n;
};

/* A choice is stored as the position of its word in the row's choices: these follow that order. */
enum config_job {
    CONFIG_JOB_TRAIN,
    CONFIG_JOB_EVALUATE,
    CONFIG_JOB_CURRICULUM,
    CONFIG_JOB_GENERATE
};
enum config_device { CONFIG_DEVICE_CPU, CONFIG_DEVICE_CUDA };
enum config_kernels { CONFIG_KERNELS_CPU, CONFIG_KERNELS_REF };
enum config_dtype { CONFIG_DTYPE_FP32, CONFIG_DTYPE_BF16 };
enum config_image_mode { CONFIG_IMAGE_PAD, CONFIG_IMAGE_SQUASH };
enum config_too_long { CONFIG_TOO_LONG_CUT, CONFIG_TOO_LONG_SKIP, CONFIG_TOO_LONG_REFUSE };
enum config_region_mode {
    CONFIG_REGION_SEGMENTATION,
    CONFIG_REGION_BOX,
    CONFIG_REGION_BOX_SEGMENTATION
};
enum config_loss_average { CONFIG_LOSS_GLOBAL, CONFIG_LOSS_MICROBATCH };
enum config_objective { CONFIG_OBJECTIVE_TEXT, CONFIG_OBJECTIVE_REGION };
enum config_init_missing { CONFIG_MISSING_REFUSE, CONFIG_MISSING_NEW };
enum config_schedule { CONFIG_SCHEDULE_COSINE, CONFIG_SCHEDULE_CONSTANT };

struct config_model {
    char *base; /* name of a model file to start from; "" for none */
    int dtype;
    int64_t image_height, image_width;
    struct config_integers vision_depths, vision_dims; /* four each */
    double vision_norm_eps, vision_drop_path_rate, vision_layer_scale_init;
    int64_t extractor_embed, extractor_mask_side;
    int64_t lm_vocab, lm_hidden, lm_ffn, lm_layers, lm_heads, lm_kv_heads, lm_max_positions;
    double lm_rms_eps, lm_rope_theta;
    bool lm_tied;
};

struct config_source { /* one row of data.sources */
    char *corpus;
    struct config_strings tasks;
    double weight;
    int64_t count;
    bool box_text;
    struct config_strings ignored_predicates;
    int64_t max_regions, max_relations, max_attributes, max_turns; /* -1: the task's own */
    int64_t sg_mode;
    int region_setup, region_order;
    double min_region_keep;
    bool no_description, sort_by_box, relevant_relations;
    char *question_prefix;
};

struct config_compat { /* what the released code does and ours does not */
    bool angle_brackets, blank_picture, cot_relations, description_line;
    bool doubled_prefix, mentioned_only, statement_wording, unlisted_regions;
};

struct config_data {
    char *mixture; /* file with the sources; "" once it is read */
    struct config_source *sources;
    int64_t n_sources;
    struct config_strings without; /* emptied once their sources are gone */
    bool fixed_draws;
    int image_mode, region_mode;
    int64_t max_length; /* tokens of one sample */
    int too_long;       /* what happens to a longer one */
    int64_t max_tokens; /* tokens of one micro-batch */
    int64_t loader_threads, prefetch, prefetch_bytes;
};

enum config_attention { CONFIG_ATTENTION_AUTO, CONFIG_ATTENTION_CUDNN, CONFIG_ATTENTION_OWN };
enum config_products { CONFIG_PRODUCTS_TIMED, CONFIG_PRODUCTS_FIRST };
enum config_save_io { CONFIG_SAVE_AUTO, CONFIG_SAVE_DIRECT, CONFIG_SAVE_PLAIN };
enum config_save_failure { CONFIG_SAVE_FAILURE_STOP, CONFIG_SAVE_FAILURE_CONTINUE };

struct config_train {
    struct config_strings modules; /* which of vision_tower, projector, mask_extractor, lm learn */
    int64_t global_batch;          /* samples */
    int64_t steps;                 /* 0: as many as epochs need */
    double epochs;
    int loss_average;
    int objective;
    bool recompute, drop_path;
    int attention, products;
    bool deterministic;
    char *init;                         /* checkpoint to start from; "" for new weights */
    struct config_strings init_modules; /* taken from it */
    int init_missing;
    int64_t save_every, keep_last, keep_every, log_every;
    bool save_async;
    int save_io, save_failure;
    int64_t stop_after; /* 0: no limit */
    double max_skipped;
    double spike_factor;
    int64_t max_skipped_steps, straggler_every;
};

enum config_backend { CONFIG_BACKEND_AUTO, CONFIG_BACKEND_NCCL, CONFIG_BACKEND_MPI };
enum config_reduction { CONFIG_REDUCTION_FAST, CONFIG_REDUCTION_ORDERED };

struct config_parallel {
    int64_t tp, dp; /* dp 0: ranks / tp */
    int backend;
    bool tp_across_hosts, sequence, shard_gradients;
    int reduction;
    int64_t ordered_multiple, bucket_elements;
    bool overlap, offload_optimizer;
};

struct config_optimizer {
    double lr, tower_lr, projector_lr, extractor_lr, lm_lr; /* all but the first: -1 means lr */
    double beta1, beta2, eps, weight_decay, clip_norm, ema_decay;
};

struct config_metrics {
    bool tensorboard;
    double peak_gflops; /* per rank; 0: none, -1: to be measured */
    int64_t profile_steps;
};

enum config_preflight { CONFIG_PREFLIGHT_REFUSE, CONFIG_PREFLIGHT_WARN, CONFIG_PREFLIGHT_OFF };

struct config_faults {
    double watchdog_s, end_margin_s;
    int preflight;
    double clock_s, slow_link;
};

struct config_schedule_keys {
    int kind;
    double warmup_ratio;
};

enum config_wording { CONFIG_WORDING_RELEASED, CONFIG_WORDING_TRAINED };

struct config_decode { /* how answers are generated */
    int64_t batch, images, step_rows, block, cache_mib, max_length, max_tokens;
    bool share_prefix, constrained, skip_forced, goes_on, graphs;
    double temperature, top_p;
    int wording;
};

enum config_answers { CONFIG_ANSWERS_SHORT, CONFIG_ANSWERS_GRAPH };
enum config_asked {
    CONFIG_ASKED_COLOUR,
    CONFIG_ASKED_NAME,
    CONFIG_ASKED_GEOMETRY,
    CONFIG_ASKED_PIXELS
};

struct config_margin { /* one row of evaluate.margins */
    int answers, asked;
    char *over; /* majority, zeroed, swapped, or the name of a row of evaluate.beside */
    double by;
};

struct config_beside { /* one row of evaluate.beside */
    char *name, *run;
};

struct config_evaluate {
    char *corpus;
    int64_t records;
    struct config_beside *beside;
    int64_t n_beside;
    struct config_margin *margins;
    int64_t n_margins;
};

enum config_generate_task { CONFIG_GENERATE_EDIT, CONFIG_GENERATE_CURATE };
enum config_drafter { CONFIG_DRAFTER_MODEL, CONFIG_DRAFTER_RECORDED, CONFIG_DRAFTER_CORPUS };
enum config_draft_mode { CONFIG_DRAFT_PER_OBJECT, CONFIG_DRAFT_HOLISTIC };
enum config_filter_kind {
    CONFIG_FILTER_SPATIAL,
    CONFIG_FILTER_DEPTH,
    CONFIG_FILTER_REGION_IOU,
    CONFIG_FILTER_JUDGE
};

struct config_filter { /* one row of generate.filters */
    int kind;
    double threshold;
    struct config_strings predicates;
};

enum config_unedited { CONFIG_UNEDITED_SKIP, CONFIG_UNEDITED_KEEP };

enum config_score { CONFIG_SCORE_PRECISION, CONFIG_SCORE_RECALL, CONFIG_SCORE_NAMES };

struct config_gain { /* one row of generate.gains */
    int of;
    double by;
};

struct config_generate {
    int task;
    char *corpus, *out, *name;
    int64_t records;
    int drafter, draft_mode;
    double temperature, top_p;
    int64_t max_tokens;
    char *drafts, *proposals, *depth;
    int64_t in_flight, min_added, min_subjects;
    double sync_seconds, max_failed;
    int unedited;
    struct config_filter *filters;
    int64_t n_filters;
    struct config_gain *gains;
    int64_t n_gains;
    bool share_pictures;
    int64_t shard_records, samples;
};

enum config_teacher_kind {
    CONFIG_TEACHER_NONE,
    CONFIG_TEACHER_HTTP,
    CONFIG_TEACHER_BATCH,
    CONFIG_TEACHER_ANNOTATIONS
};
enum config_verifier_kind {
    CONFIG_VERIFIER_TEACHER,
    CONFIG_VERIFIER_ANNOTATIONS,
    CONFIG_VERIFIER_ROBIN
};

struct config_teacher {
    int kind;
    char *url, *model, *key_env, *key_file, *ca_file, *detail;
    double temperature;
    int64_t max_tokens, image_side, image_tokens;
    int64_t in_flight, requests_per_minute, tokens_per_minute;
    double timeout_seconds, backoff_seconds, max_backoff_seconds;
    int64_t tries, answers;
    int64_t budget_calls, budget_tokens;
    double budget_money, price_in, price_out, noise;
    int64_t batch_requests, batch_bytes;
    double poll_seconds;
};

struct config_verifier {
    int kind;
    double noise;
};

struct config_stage {          /* one row of curriculum.stages */
    char *config;              /* file, from the folder of the curriculum's own */
    char *name;                /* "": the file's, without .yaml */
    struct config_strings set; /* key=value over the file's */
    bool export_weights;
};

struct config_curriculum {
    struct config_stage *stages;
    int64_t n_stages;
    struct config_strings set; /* key=value over every stage's */
};

struct run_config { /* zeroed is releasable */
    int job;
    int64_t seed;
    char *run_dir;
    int64_t threads; /* per rank */
    int device, kernels;
    bool log_debug;
    struct config_model model;
    char *tokenizer; /* a directory; "" for none */
    bool unmask_template_tokens;
    struct config_data data;
    struct config_compat compat;
    struct config_train train;
    struct config_parallel parallel;
    struct config_optimizer optimizer;
    struct config_schedule_keys schedule;
    struct config_metrics metrics;
    struct config_faults faults;
    struct config_decode decode;
    struct config_evaluate evaluate;
    struct config_generate generate;
    struct config_teacher teacher;
    struct config_verifier verifier;
    struct config_curriculum curriculum;
};

/* Reads the model file and the mixture file that `path` names, `path` itself (NULL: no file), and
 * the `key=value` overrides, in this order; keys that
 * nobody gave have their defaults. ERR_ARGUMENT with every error of every source in one message:
 * a line that counts them, then one line each, FILE:LINE:COLUMN: error: what and remedy. ERR_IO
 * where a file cannot be read. */
enum status run_config_load(struct run_config *config_out, const char *path,
                            const char *const *overrides, int n_overrides);
void run_config_release(struct run_config *config);

/* The whole configuration as YAML that run_config_load reads back to the same values; to free(). */
char *run_config_write(const struct run_config *config);

#endif
