/* See product_choice.h. */
#include "train/product_choice.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "kernels.h"
#include "model/lm_head.h"
#include "model/lm_slice.h"

#define FILE_LIMIT ((size_t)1 << 20)
#define HEADER     "robin-dist products 1: "
#define FOOTER     "crc32c "
#define N_LAYERS   5

/* ---- the file ---- */

char *product_cache_folder(void)
{
    static const struct {
        const char *variable, *below;
    } places[] = {
        {"ROBIN_CACHE", NULL}, {"XDG_CACHE_HOME", "robin-dist"}, {"HOME", ".cache/robin-dist"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        const char *value = getenv(places[i].variable);
        if (value == NULL || value[0] == '\0') continue;
        return places[i].below == NULL ? text_copy(value) : path_join(value, places[i].below);
    }
    return NULL;
}

/* One file for each kind of GPU and library. */
static char *file_path(const char *identity)
{
    char *folder = product_cache_folder(), *path = NULL;
    char name[32];
    if (folder == NULL) return NULL;
    (void)snprintf(name, sizeof name, "products-%08" PRIx32, crc32c(0, identity, strlen(identity)));
    path = path_join(folder, name);
    free(folder);
    return path;
}

char *product_file_text(const char *identity, const char *choices)
{
    struct text_buffer text = {0};
    text_printf(&text, HEADER "%s\n%s", identity, choices);
    text_printf(&text, FOOTER "%08" PRIx32 "\n", crc32c(0, text_of(&text), text.length));
    return text_take(&text);
}

char *product_file_choices(const char *text, const char *identity, const char **why_out)
{
    const size_t size = strlen(text), header = strlen(HEADER), footer = strlen(FOOTER) + 9;
    char check[16];
    *why_out = "it is cut off";
    if (size < header + footer || text[size - 1] != '\n') return NULL;
    *why_out = "it is no list of choices";
    if (strncmp(text, HEADER, header) != 0) return NULL;
    const char *end = text + size - footer;
    (void)snprintf(check, sizeof check, "%08" PRIx32 "\n", crc32c(0, text, size - footer));
    *why_out = "its checksum is wrong";
    if (strncmp(end, FOOTER, strlen(FOOTER)) != 0 || strcmp(end + strlen(FOOTER), check) != 0)
        return NULL;
    *why_out = "it is for another GPU, driver or library";
    const size_t length = strlen(identity);
    if (strncmp(text + header, identity, length) != 0 || text[header + length] != '\n') return NULL;
    char *choices = text_copy(text + header + length + 1);
    choices[strlen(choices) - footer] = '\0';
    return choices;
}

/* What the file holds; "" where there is none that can be used. To free(). */
static char *read_known(const char *path, const char *identity)
{
    unsigned char *bytes = NULL;
    size_t size = 0;
    const char *why = "it cannot be read";
    char *known = NULL;
    if (path == NULL || !file_exists(path)) return text_copy("");
    if (file_read(&bytes, &size, path, FILE_LIMIT) == OK && strlen((char *)bytes) == size)
        known = product_file_choices((const char *)bytes, identity, &why);
    free(bytes);
    if (known != NULL) return known;
    log_warn("%s is not used: %s; it is written anew", path, why);
    return text_copy("");
}

static enum status write_file(const char *path, const char *identity, const char *choices)
{
    enum status status = OK;
    char *folder = path_parent(path), *text = product_file_text(identity, choices);
    TRY(directory_create(folder));
    TRY(file_write_atomic(path, text, strlen(text)));
out:
    free(folder);
    free(text);
    return status;
}

/* ---- what is timed ---- */

/* The language model's products in batches of data.max_tokens; the head's in its chunks. */
static enum status list_layers(struct linear_size layers[N_LAYERS], const struct run_model *model,
                               const struct run_config *config)
{
    enum status status = OK;
    const struct lm_config *lm = &model->config.lm;
    const struct model_share *share = model->options.share;
    const int64_t n = config->data.max_tokens, d = lm->hidden;
    struct lm_slice slice;
    int64_t rows = 0, words = 0;
    TRY(lm_slice_make(&slice, lm, share != NULL ? share->index : 0,
                      share != NULL ? share->size : 1));
    lm_head_choose_chunks(&rows, &words, slice.vocab, model->options.limits.max_targets, true);
    const int64_t width = slice.heads * slice.head_size;
    const int64_t qkv = width + 2 * slice.kv_heads * slice.head_size;
    const struct linear_size list[N_LAYERS] = {{n, qkv, d, true},
                                               {n, d, width, false},
                                               {n, 2 * slice.ffn, d, false},
                                               {n, d, slice.ffn, false},
                                               {rows, words, d, false}};
    memcpy(layers, list, sizeof list);
out:
    return status;
}

/* Rank 0's: all choices, to free(). */
static enum status settle(char **choices_out, const char *identity, const struct run_model *model,
                          const struct run_config *config)
{
    enum status status = OK;
    struct linear_size layers[N_LAYERS];
    char *path = file_path(identity), *known = read_known(path, identity), *choices = NULL;
    const double start = monotonic_seconds();
    TRY(list_layers(layers, model, config));
    TRY(model->kernels->products_measure(&choices, known, layers, N_LAYERS, model->stream));
    if (strcmp(choices, known) != 0)
        log_info("algorithms of matrix products were timed in %.1f s, and are kept in %s",
                 monotonic_seconds() - start, path != NULL ? path : "no file: HOME is not set");
    if (strcmp(choices, known) != 0 && path != NULL && write_file(path, identity, choices) != OK)
        log_warn("the next run times them again: %s", status_message());
    *choices_out = choices;
    choices = NULL;
out:
    free(path);
    free(known);
    free(choices);
    return status;
}

/* ---- all ranks ---- */

/* Rank 0's text, to free(). */
static enum status share_text(struct comm *comm, char **text)
{
    enum status status = OK;
    int64_t size = *text != NULL ? (int64_t)strlen(*text) : 0;
    TRY(comm_broadcast(comm, &size, sizeof size, 0));
    char *all = memory_new((size_t)size + 1, 1);
    if (*text != NULL && comm_rank(comm) == 0) memcpy(all, *text, (size_t)size);
    free(*text);
    *text = all;
    TRY(comm_broadcast(comm, all, (size_t)size, 0));
out:
    return status;
}

/* Whether every rank's GPU and library are rank 0's. */
static enum status compare(struct comm *comm, const char *own, bool *alike_out)
{
    enum status status = OK;
    char *first = text_copy(own);
    int64_t others = 0;
    TRY(share_text(comm, &first));
    others = strcmp(first, own) != 0;
    TRY(comm_sum_int64(comm, &others, 1));
    if (others > 0)
        log_info("matrix products are not timed: %" PRId64 " ranks have another GPU, driver or "
                 "library than rank 0, which has %s",
                 others, first);
    *alike_out = others == 0;
out:
    free(first);
    return status;
}

enum status products_choose(struct comm *comm, const struct run_model *model,
                            const struct run_config *config)
{
    enum status status = OK;
    char *identity = NULL, *choices = NULL;
    bool alike = false;
    if (model->kernels->products_measure == NULL) return OK;
    if (config->train.products == CONFIG_PRODUCTS_FIRST) return OK;
    TRY(comm_agree(comm, model->kernels->products_identity(&identity, model->stream)));
    TRY(compare(comm, identity, &alike));
    if (!alike) goto out;
    if (comm_rank(comm) == 0) status = settle(&choices, identity, model, config);
    TRY(comm_agree(comm, status));
    TRY(share_text(comm, &choices));
    TRY(comm_agree(comm, model->kernels->products_use(choices, model->stream)));
out:
    free(identity);
    free(choices);
    return status;
}
