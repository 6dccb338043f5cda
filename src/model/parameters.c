/* Lists the parameters of a model and gives each its place. The layout code of the modules finds
 * them by name, once, when a model is made. */
#include "model/parameters.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/random.h"
#include "base/text_buffer.h"
#include "model/lm_slice.h"

#define OFFSET_ALIGNMENT 16 /* elements: 64 bytes of fp32 */
#define MAX_SIZE         (INT64_C(1) << 30)
#define MAX_LAYERS       10000
#define TOWER            "model.vision_tower.vision_tower.visual."

const char *const module_names[N_MODULES] = {"vision_tower", "projector", "mask_extractor", "lm"};

/* ---- checks ---- */

struct named_size {
    const char *name;
    int64_t value, max;
};

static enum status check_sizes(const struct model_config *config)
{
    enum status status = OK;
    const struct lm_config *lm = &config->lm;
    const struct named_size sizes[] = {
        {"image_height", config->image_height, 1 << 16},
        {"image_width", config->image_width, 1 << 16},
        {"extractor.embed", config->extractor.embed, 1 << 20},
        {"extractor.mask_side", config->extractor.mask_side, 1 << 14},
        {"lm.vocab", lm->vocab, MAX_SIZE},
        {"lm.hidden", lm->hidden, 1 << 20},
        {"lm.ffn", lm->ffn, 1 << 22},

        {"lm.heads", lm->heads, 1 << 16},
        {"lm.kv_heads", lm->kv_heads, 1 << 16},
        {"lm.max_positions", lm->max_positions, MAX_SIZE},
    };
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        if (sizes[i].value < 1 || sizes[i].value > sizes[i].max)
            FAIL(ERR_SHAPE, "model size %s is %lld; it must be 1 to %lld", sizes[i].name,
                 (long long)sizes[i].value, (long long)sizes[i].max);
    }
    if (lm->layers < 0 || lm->layers > MAX_LAYERS) /* 0: the loss reads the embeddings directly */
        FAIL(ERR_SHAPE, "model size lm.layers is %lld; it must be 0 to %d", (long long)lm->layers,
             MAX_LAYERS);
    for (int level = 0; level < N_LEVELS; level++) {
        int64_t depth = config->vision.depths[level];
        int64_t dim = config->vision.dims[level];
        if (depth < 1 || depth > MAX_LAYERS || dim < 1 || dim > 1 << 20)
            FAIL(ERR_SHAPE,
                 "stage %d of the vision tower has depth %lld and width %lld; both must be at "
                 "least 1",
                 level, (long long)depth, (long long)dim);
    }
    if (level_side(config->image_height, N_LEVELS - 1) < 1 ||
        level_side(config->image_width, N_LEVELS - 1) < 1)
        FAIL(ERR_SHAPE,
             "images of %lld x %lld pixels leave nothing at stride 32; take at least 32 x 32",
             (long long)config->image_height, (long long)config->image_width);
    if (lm->heads % lm->kv_heads != 0)
        FAIL(ERR_SHAPE, "lm.heads is %lld, not a multiple of lm.kv_heads = %lld",
             (long long)lm->heads, (long long)lm->kv_heads);
    if (lm->layers > 0 && (lm->hidden % lm->heads != 0 || lm->hidden / lm->heads % 2 != 0))
        FAIL(ERR_SHAPE,
             "lm.hidden is %lld: divided by lm.heads = %lld it must give an even head size",
             (long long)lm->hidden, (long long)lm->heads);
out:
    return status;
}

/* ---- the list ---- */

struct list {
    struct parameter_table *table;
    int64_t capacity;
    enum module module;
    struct lm_slice slice; /* of the language model */
    int64_t stage;
};

struct shape {
    int n_dims;
    int64_t dims[4];
};

#define SHAPE1(a)          ((struct shape){1, {a}})
#define SHAPE2(a, b)       ((struct shape){2, {a, b}})
#define SHAPE4(a, b, c, d) ((struct shape){4, {a, b, c, d}})

static void push(struct list *list, enum parameter_role role, struct shape shape,
                 const char *format, ...) __attribute__((format(printf, 4, 5)));

static void push(struct list *list, enum parameter_role role, struct shape shape,
                 const char *format, ...)
{
    struct parameter_table *table = list->table;
    if (table->n_parameters == list->capacity) {
        list->capacity = list->capacity == 0 ? 256 : 2 * list->capacity;
        table->parameters =
            memory_resize(table->parameters, (size_t)list->capacity, sizeof *table->parameters);
    }
    struct text_buffer name = {0};
    va_list arguments;
    va_start(arguments, format);
    char *text = NULL;
    if (vasprintf(&text, format, arguments) >= 0) text_append(&name, text);
    free(text);
    va_end(arguments);
    struct parameter *parameter = &table->parameters[table->n_parameters++];
    *parameter = (struct parameter){.name = text_take(&name),
                                    .module = list->module,
                                    .role = role,
                                    .n_dims = shape.n_dims,
                                    .n_elements = 1,
                                    .gradient_offset = -1,
                                    .decays = role != ROLE_BIAS,
                                    .stage = list->stage,
                                    .used = true};
    for (int d = 0; d < shape.n_dims; d++) {
        parameter->dims[d] = shape.dims[d];
        parameter->n_elements *= shape.dims[d];
    }
}

static struct parameter *last(struct list *list)
{
    return &list->table->parameters[list->table->n_parameters - 1];
}

/* The weights of a LayerNorm, which do not decay (those of an RMSNorm do). */
static void push_layernorm(struct list *list, int64_t width, const char *name)
{
    push(list, ROLE_NORM_WEIGHT, SHAPE1(width), "%s.weight", name);
    last(list)->decays = false;
    push(list, ROLE_BIAS, SHAPE1(width), "%s.bias", name);
}

static void push_linear(struct list *list, int64_t out, int64_t in, const char *name)
{
    push(list, ROLE_MATRIX, SHAPE2(out, in), "%s.weight", name);
    push(list, ROLE_BIAS, SHAPE1(out), "%s.bias", name);
}

static void push_convolution(struct list *list, struct shape shape, const char *name)
{
    push(list, ROLE_CONVOLUTION, shape, "%s.weight", name);
    push(list, ROLE_BIAS, SHAPE1(shape.dims[0]), "%s.bias", name);
}

static void push_block(struct list *list, int stage, int64_t block, int64_t c)
{
    char *prefix = text_format(TOWER "trunk.stages.%d.blocks.%lld", stage, (long long)block);
    push(list, ROLE_LAYER_SCALE, SHAPE1(c), "%s.gamma", prefix);
    char *name = text_format("%s.conv_dw", prefix);
    push_convolution(list, SHAPE4(c, 1, 7, 7), name);
    free(name);
    name = text_format("%s.norm", prefix);
    push_layernorm(list, c, name);
    free(name);
    name = text_format("%s.mlp.fc1", prefix);
    push_linear(list, 4 * c, c, name);
    free(name);
    name = text_format("%s.mlp.fc2", prefix);
    push_linear(list, c, 4 * c, name);
    free(name);
    free(prefix);
}

static void push_tower(struct list *list, const struct vision_config *vision)
{
    const int64_t *dims = vision->dims;
    push_convolution(list, SHAPE4(dims[0], 3, 4, 4), TOWER "trunk.stem.0");
    push_layernorm(list, dims[0], TOWER "trunk.stem.1");
    for (int stage = 0; stage < N_LEVELS; stage++) {
        if (stage > 0) {
            char *name = text_format(TOWER "trunk.stages.%d.downsample.0", stage);
            push_layernorm(list, dims[stage - 1], name);
            free(name);
            name = text_format(TOWER "trunk.stages.%d.downsample.1", stage);
            push_convolution(list, SHAPE4(dims[stage], dims[stage - 1], 2, 2), name);
            free(name);
        }
        for (int64_t block = 0; block < vision->depths[stage]; block++)
            push_block(list, stage, block, dims[stage]);
    }
    /* Parts of the reference's module tree that its graph never uses. */
    int64_t first_unused = list->table->n_parameters;
    int64_t top = dims[N_LEVELS - 1];
    push_layernorm(list, top, TOWER "trunk.head.norm");
    push_linear(list, top, top, TOWER "head.mlp.fc1");
    if (top >= 2) push(list, ROLE_MATRIX, SHAPE2(top / 2, top), TOWER "head.mlp.fc2.weight");
    for (int64_t i = first_unused; i < list->table->n_parameters; i++)
        list->table->parameters[i].used = false;
}

static void push_extractor(struct list *list, const struct model_config *config)
{
    int64_t embed = config->extractor.embed;
    int64_t side = config->extractor.mask_side;
    int64_t out = config->lm.hidden;
    push_linear(list, out, embed, "mask_extractor.feat_linear");
    push_linear(list, embed, side * side, "mask_extractor.mask_linear.layers.0");
    push_linear(list, embed, embed, "mask_extractor.mask_linear.layers.1");
    push_linear(list, out, embed, "mask_extractor.mask_linear.layers.2");
    for (int level = 0; level < N_LEVELS; level++) {
        char *name = text_format("mask_extractor.res%d", level + 2);
        push_linear(list, embed, config->vision.dims[level], name);
        free(name);
    }
}

/* Of the last parameter this sharer holds n rows (dim 0) or columns (dim 1) from `first`. */
static void cut_last(struct list *list, int dim, int64_t first, int64_t n)
{
    struct parameter *parameter = last(list);
    if (list->slice.size == 1) return;
    parameter->slice = (struct parameter_slice){.dim = dim, .first = first, .n = n, .replicas = 1};
    parameter->n_elements = parameter->n_elements / parameter->dims[dim] * n;
}

/* As cut_last, for rows of key/value heads, which several sharers may hold. */
static void cut_last_kv(struct list *list)
{
    const struct lm_slice *slice = &list->slice;
    cut_last(list, 0, slice->first_kv_head * slice->head_size, slice->kv_heads * slice->head_size);
    last(list)->slice.replicas = slice->kv_replicas;
}

/* As cut_last, for rows of query heads. */
static void cut_last_heads(struct list *list, int dim)
{
    const struct lm_slice *slice = &list->slice;
    cut_last(list, dim, slice->first_head * slice->head_size, slice->heads * slice->head_size);
}

static void push_lm_layer(struct list *list, const struct lm_config *lm, int64_t layer)
{
    list->stage = lm->layers - layer;
    char *prefix = text_format("model.layers.%lld", (long long)layer);
    int64_t d = lm->hidden;
    int64_t kv = lm->kv_heads * (lm->hidden / lm->heads);
    /* Adjacent, in this order: one projection in the graph. */
    const struct lm_slice *slice = &list->slice;
    push(list, ROLE_MATRIX, SHAPE2(d, d), "%s.self_attn.q_proj.weight", prefix);
    cut_last_heads(list, 0);
    push(list, ROLE_MATRIX, SHAPE2(kv, d), "%s.self_attn.k_proj.weight", prefix);
    cut_last_kv(list);
    push(list, ROLE_MATRIX, SHAPE2(kv, d), "%s.self_attn.v_proj.weight", prefix);
    cut_last_kv(list);
    push(list, ROLE_BIAS, SHAPE1(d), "%s.self_attn.q_proj.bias", prefix);
    cut_last_heads(list, 0);
    push(list, ROLE_BIAS, SHAPE1(kv), "%s.self_attn.k_proj.bias", prefix);
    cut_last_kv(list);
    push(list, ROLE_BIAS, SHAPE1(kv), "%s.self_attn.v_proj.bias", prefix);
    cut_last_kv(list);
    push(list, ROLE_MATRIX, SHAPE2(d, d), "%s.self_attn.o_proj.weight", prefix);
    cut_last_heads(list, 1);
    push(list, ROLE_MATRIX, SHAPE2(lm->ffn, d), "%s.mlp.gate_proj.weight", prefix);
    cut_last(list, 0, slice->first_channel, slice->ffn);
    push(list, ROLE_MATRIX, SHAPE2(lm->ffn, d), "%s.mlp.up_proj.weight", prefix);
    cut_last(list, 0, slice->first_channel, slice->ffn);
    push(list, ROLE_MATRIX, SHAPE2(d, lm->ffn), "%s.mlp.down_proj.weight", prefix);
    cut_last(list, 1, slice->first_channel, slice->ffn);
    push(list, ROLE_NORM_WEIGHT, SHAPE1(d), "%s.input_layernorm.weight", prefix);
    push(list, ROLE_NORM_WEIGHT, SHAPE1(d), "%s.post_attention_layernorm.weight", prefix);
    free(prefix);
}

static void push_lm(struct list *list, const struct lm_config *lm)
{
    list->stage = lm->layers + 1;
    push(list, ROLE_EMBEDDING, SHAPE2(lm->vocab, lm->hidden), "model.embed_tokens.weight");
    cut_last(list, 0, list->slice.first_word, list->slice.vocab_held);
    for (int64_t layer = 0; layer < lm->layers; layer++) push_lm_layer(list, lm, layer);
    list->stage = 0;
    push(list, ROLE_NORM_WEIGHT, SHAPE1(lm->hidden), "model.norm.weight");
    if (lm->tied) return;
    push(list, ROLE_EMBEDDING, SHAPE2(lm->vocab, lm->hidden), "lm_head.weight");
    cut_last(list, 0, list->slice.first_word, list->slice.vocab_held);
}

/* ---- offsets ---- */

static bool ends_with(const char *text, const char *end)
{
    size_t n = strlen(text), m = strlen(end);
    return n >= m && strcmp(text + n - m, end) == 0;
}

/* Whether the parameter continues the projection before it: k and v after q, up after gate. */
static bool is_fused_with_previous(const struct parameter *parameter)
{
    return ends_with(parameter->name, ".k_proj.weight") ||
           ends_with(parameter->name, ".v_proj.weight") ||
           ends_with(parameter->name, ".k_proj.bias") ||
           ends_with(parameter->name, ".v_proj.bias") ||
           ends_with(parameter->name, ".up_proj.weight");
}

static int64_t align(int64_t offset)
{
    return (offset + OFFSET_ALIGNMENT - 1) / OFFSET_ALIGNMENT * OFFSET_ALIGNMENT;
}

static void assign_gradient_offsets(struct parameter_table *table,
                                    bool (*has_gradient)(const struct parameter_table *,
                                                         const struct parameter *))
{
    int64_t offset = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        struct parameter *parameter = &table->parameters[i];
        parameter->gradient_offset = parameter->gradient_place = -1;
        if (!has_gradient(table, parameter)) continue;
        if (!is_fused_with_previous(parameter)) offset = align(offset);
        parameter->gradient_offset = parameter->gradient_place = offset;
        offset += parameter->n_elements;
    }
    table->n_gradient_elements = table->n_gradient_places = align(offset);
}

static int64_t place_next(int64_t *end, const struct parameter *parameter)
{
    if (!is_fused_with_previous(parameter)) *end = align(*end);
    const int64_t place = *end;
    *end += parameter->n_elements;
    return place;
}

void parameter_table_use_windows(struct parameter_table *table, int64_t n)
{
    int64_t *ends = memory_new((size_t)table->n_stages, sizeof *ends), size = 0, rest = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        struct parameter *parameter = &table->parameters[i];
        if (parameter->gradient_offset < 0) continue;
        const bool layer = parameter->module == MODULE_LM && parameter->stage >= 1 &&
                           parameter->stage <= table->n_stages - 3;
        parameter->windowed = layer && (parameter_is_split(parameter) || !table->sliced);
        int64_t *end = parameter->windowed ? &ends[parameter->stage] : &rest;
        parameter->gradient_place = place_next(end, parameter);
        if (parameter->windowed && align(*end) > size) size = align(*end);
    }
    rest = align(rest);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        struct parameter *parameter = &table->parameters[i];
        if (parameter->windowed)
            parameter->gradient_place += rest + (parameter->stage - 1) % n * size;
    }
    table->n_gradient_places = rest + n * size;
    free(ends);
}

static bool trains(const struct parameter_table *table, const struct parameter *parameter)
{
    return parameter->used && table->trainable[parameter->module];
}

static bool trains_without_lm_matrices(const struct parameter_table *table,
                                       const struct parameter *parameter)
{
    bool is_matrix = parameter->role == ROLE_MATRIX || parameter->role == ROLE_EMBEDDING;
    return trains(table, parameter) && !(parameter->module == MODULE_LM && is_matrix);
}

void parameter_table_freeze_lm_matrices(struct parameter_table *table)
{
    assign_gradient_offsets(table, trains_without_lm_matrices);
}

/* Whole parameters first, then the slices; otherwise in their order. */
static void put_whole_first(struct parameter_table *table)
{
    const size_t n = (size_t)table->n_parameters;
    struct parameter *ordered = memory_new(n + 1, sizeof *ordered);
    size_t at = 0;
    for (int split = 0; split <= 1; split++)
        for (size_t i = 0; i < n; i++)
            if (parameter_is_split(&table->parameters[i]) == (split == 1))
                ordered[at++] = table->parameters[i];
    free(table->parameters);
    table->parameters = ordered;
}

static void assign_offsets(struct parameter_table *table)
{
    int64_t offset = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        struct parameter *parameter = &table->parameters[i];
        if (!is_fused_with_previous(parameter)) offset = align(offset);
        parameter->offset = offset;
        offset += parameter->n_elements;
    }
    table->n_weight_elements = align(offset);
}

enum status parameter_table_create_slice(struct parameter_table **table_out,
                                         const struct model_config *config,
                                         const bool trainable[N_MODULES], int index, int size)
{
    enum status status = OK;
    struct parameter_table *table = NULL;
    struct list list = {.module = MODULE_TOWER};
    TRY(check_sizes(config));
    TRY(lm_slice_make(&list.slice, &config->lm, index, size));
    list.table = table = memory_new(1, sizeof *table);
    memcpy(table->trainable, trainable, sizeof table->trainable);
    table->sliced = size > 1;
    table->n_stages = config->lm.layers + 3;
    list.stage = table->n_stages - 1;
    push_tower(&list, &config->vision);
    list.module = MODULE_PROJECTOR;
    push_linear(&list, config->lm.hidden, config->vision.dims[IMAGE_LEVEL], "model.mm_projector.0");
    push_linear(&list, config->lm.hidden, config->lm.hidden, "model.mm_projector.2");
    list.module = MODULE_EXTRACTOR;
    push_extractor(&list, config);
    list.module = MODULE_LM;
    push_lm(&list, &config->lm);
    put_whole_first(table);
    assign_offsets(table);
    assign_gradient_offsets(table, trains);
    *table_out = table;
    table = NULL;
out:
    parameter_table_destroy(table);
    return status;
}

enum status parameter_table_create(struct parameter_table **table_out,
                                   const struct model_config *config,
                                   const bool trainable[N_MODULES])
{
    return parameter_table_create_slice(table_out, config, trainable, 0, 1);
}

void parameter_table_destroy(struct parameter_table *table)
{
    if (table == NULL) return;
    for (int64_t i = 0; i < table->n_parameters; i++) free(table->parameters[i].name);
    free(table->parameters);
    free(table);
}

const struct parameter *parameter_find(const struct parameter_table *table, const char *name)
{
    for (int64_t i = 0; i < table->n_parameters; i++) {
        if (strcmp(table->parameters[i].name, name) == 0) return &table->parameters[i];
    }
    return NULL;
}

int64_t parameter_count(const struct parameter_table *table, enum module module)
{
    int64_t count = 0;
    for (int64_t i = 0; i < table->n_parameters; i++) {
        if (table->parameters[i].module == module) count += parameter_size(&table->parameters[i]);
    }
    return count;
}

/* ---- slices ---- */

int64_t parameter_size(const struct parameter *parameter)
{
    int64_t size = 1;
    for (int d = 0; d < parameter->n_dims; d++) size *= parameter->dims[d];
    return size;
}

struct parameter_runs parameter_runs(const struct parameter *parameter)
{
    const struct parameter_slice *slice = &parameter->slice;
    const int64_t whole = parameter_size(parameter);
    if (!parameter_is_split(parameter))
        return (struct parameter_runs){.n = 1, .length = whole, .held_step = whole};
    const int64_t left = parameter->dims[slice->dim] - slice->first;
    const int64_t real = slice->n < left ? slice->n : left;
    if (slice->dim == 1)
        return (struct parameter_runs){.n = parameter->dims[0],
                                       .length = real,
                                       .start = slice->first,
                                       .step = parameter->dims[1],
                                       .held_step = slice->n};
    const int64_t row = whole / parameter->dims[0];
    return (struct parameter_runs){.n = 1, .length = real * row, .start = slice->first * row};
}

struct columns {
    int64_t first, end;
};

/* Columns first .. end - 1 of rows row .. row + n - 1 of what is held, as far as they are real. */
static int add_rows(struct parameter_piece *piece, const struct parameter_runs *all, int64_t row,
                    int64_t n, struct columns columns)
{
    const int64_t end = columns.end < all->length ? columns.end : all->length;
    if (n < 1 || end <= columns.first) return 0;
    *piece =
        (struct parameter_piece){.runs = {.n = n,
                                          .length = end - columns.first,
                                          .start = all->start + row * all->step + columns.first,
                                          .step = n > 1 ? all->step : 0,
                                          .held_step = all->held_step},
                                 .held = row * all->held_step + columns.first};
    return 1;
}

int parameter_range(struct parameter_piece pieces[PARAMETER_MAX_PIECES],
                    const struct parameter *parameter, int64_t first, int64_t end)
{
    const struct parameter_runs all = parameter_runs(parameter);
    int n = 0;
    if (all.n == 1) return add_rows(pieces, &all, 0, 1, (struct columns){first, end});
    const int64_t width = all.held_step;
    int64_t row = first / width;
    if (first % width > 0) {
        const int64_t row_end = end < (row + 1) * width ? end - row * width : width;
        n += add_rows(&pieces[n], &all, row, 1, (struct columns){first % width, row_end});
        row++;
    }
    const int64_t whole = end / width - row;
    if (whole > 0) {
        n += add_rows(&pieces[n], &all, row, whole, (struct columns){0, width});
        row += whole;
    }
    if (row * width < end)
        n += add_rows(&pieces[n], &all, row, 1, (struct columns){0, end - row * width});
    return n;
}

void parameter_cut(float *held, const float *whole, const struct parameter *parameter)
{
    const struct parameter_runs runs = parameter_runs(parameter);
    memset(held, 0, (size_t)parameter->n_elements * sizeof *held);
    for (int64_t run = 0; run < runs.n; run++)
        memcpy(held + run * runs.held_step, whole + runs.start + run * runs.step,
               (size_t)runs.length * sizeof *held);
}

void parameter_paste(float *whole, const float *held, const struct parameter *parameter)
{
    const struct parameter_runs runs = parameter_runs(parameter);
    for (int64_t run = 0; run < runs.n; run++)
        memcpy(whole + runs.start + run * runs.step, held + run * runs.held_step,
               (size_t)runs.length * sizeof *held);
}

/* ---- values ---- */

static int64_t fan_in(const struct parameter *parameter)
{
    return parameter_size(parameter) / parameter->dims[0];
}

/* Also slices, which may hold zeros beyond the whole tensor. */
void parameters_zero_padding(float *weights, const struct parameter_table *table)
{
    int64_t end = 0;
    for (int64_t i = 0; i <= table->n_parameters; i++) {
        bool beyond = i == table->n_parameters;
        int64_t next = beyond ? table->n_weight_elements : table->parameters[i].offset;
        memset(weights + end, 0, (size_t)(next - end) * sizeof *weights);
        if (beyond) break;
        end = next + table->parameters[i].n_elements;
        if (parameter_is_split(&table->parameters[i]))
            memset(weights + next, 0, (size_t)(end - next) * sizeof *weights);
    }
}

static void initialise_normal(float *out, const struct parameter *parameter, double deviation,
                              struct random_stream stream)
{
    const struct parameter_runs runs = parameter_runs(parameter);
    for (int64_t run = 0; run < runs.n; run++) {
        const int64_t start = runs.start + run * runs.step;
        for (int64_t i = 0; i < runs.length; i++)
            out[run * runs.held_step + i] =
                (float)(deviation * random_normal(stream, (uint64_t)(start + i)));
    }
}

static void initialise_constant(float *out, const struct parameter *parameter, double value)
{
    for (int64_t i = 0; i < parameter->n_elements; i++) out[i] = (float)value;
}

void parameter_initialise(float *weights, const struct parameter *parameter,
                          const struct model_config *config, uint64_t seed)
{
    float *out = weights + parameter->offset;
    const struct random_stream stream = random_stream(seed, parameter->name);
    switch (parameter->role) {
    case ROLE_NORM_WEIGHT: initialise_constant(out, parameter, 1.0); break;
    case ROLE_LAYER_SCALE:
        initialise_constant(out, parameter, config->vision.layer_scale_init);
        break;
    case ROLE_BIAS: initialise_constant(out, parameter, 0.0); break;
    case ROLE_EMBEDDING: initialise_normal(out, parameter, 0.05, stream); break;
    case ROLE_MATRIX:
    case ROLE_CONVOLUTION:
        initialise_normal(out, parameter, 1.0 / sqrt((double)fan_in(parameter)), stream);
        break;
    }
}

void parameters_initialise(float *weights, const struct parameter_table *table,
                           const struct model_config *config, uint64_t seed)
{
    parameters_zero_padding(weights, table);
    for (int64_t i = 0; i < table->n_parameters; i++)
        parameter_initialise(weights, &table->parameters[i], config, seed);
}

void parameter_fill_range(double *centre_out, double *amplitude_out,
                          const struct parameter *parameter)
{
    *centre_out = 0;
    *amplitude_out = 0;
    switch (parameter->role) {
    case ROLE_NORM_WEIGHT:
        *centre_out = 1.0;
        *amplitude_out = 0.1;
        break;
    case ROLE_LAYER_SCALE:
        *centre_out = 0.5;
        *amplitude_out = 0.25;
        break;
    case ROLE_BIAS: *amplitude_out = 0.05; break;
    case ROLE_EMBEDDING: *amplitude_out = sqrt(6.75 / (double)parameter->dims[1]); break;
    case ROLE_MATRIX:
    case ROLE_CONVOLUTION: *amplitude_out = sqrt(3.0 / (double)fan_in(parameter)); break;
    }
}

void parameters_fill(float *weights, const struct parameter_table *table, uint64_t seed)
{
    parameters_zero_padding(weights, table);
    for (int64_t i = 0; i < table->n_parameters; i++) {
        const struct parameter *parameter = &table->parameters[i];
        double centre = 0;
        double amplitude = 0;
        parameter_fill_range(&centre, &amplitude, parameter);
        const struct parameter_runs runs = parameter_runs(parameter);
        for (int64_t run = 0; run < runs.n; run++)
            random_fill(weights + parameter->offset + run * runs.held_step, (uint64_t)runs.length,
                        (uint64_t)(runs.start + run * runs.step),
                        random_stream(seed, parameter->name), centre, amplitude);
    }
}
