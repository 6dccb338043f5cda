/* The writing half of safetensors: cuts tensors into files, converts, writes header and data. */
#include "checkpoint/safetensors_write.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/bf16.h"
#include "base/file.h"
#include "base/text_buffer.h"

#define CHUNK_ELEMENTS 65536

/* Round to nearest even, subnormals included; what overflows becomes infinite. */
static uint16_t f16_of(float value)
{
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    uint16_t sign = (uint16_t)(bits >> 16 & 0x8000);
    float magnitude = fabsf(value);
    if (isnan(value)) return (uint16_t)(sign | 0x7E00);
    if (magnitude >= 65520.0f) return (uint16_t)(sign | 0x7C00);
    if (magnitude < 0x1p-14f) /* a multiple of 2^-24, rounded by the addition */
        return (uint16_t)(sign | (uint16_t)lrintf(magnitude * 0x1p24f));
    bits &= 0x7FFFFFFF;
    bits += 0xFFF + (bits >> 13 & 1);
    return (uint16_t)(sign | (uint16_t)((bits >> 13) - ((127 - 15) << 10)));
}

static int64_t element_count(const struct safetensor_source *tensor)
{
    int64_t n = 1;
    for (int d = 0; d < tensor->n_dims; d++) n *= tensor->dims[d];
    return n;
}

static const char *dtype_name(enum dtype dtype)
{
    return dtype == DTYPE_F32 ? "F32" : dtype == DTYPE_BF16 ? "BF16" : "F16";
}

/* The JSON header, padded with spaces so that the data start at a multiple of 8; to free(). */
static char *header_of(const struct safetensor_source *tensors, int64_t n, enum dtype dtype)
{
    json_t *root = json_object();
    json_object_set_new(root, "__metadata__", json_pack("{s:s}", "format", "pt"));
    uint64_t offset = 0;
    for (int64_t i = 0; i < n; i++) {
        json_t *shape = json_array();
        for (int d = 0; d < tensors[i].n_dims; d++)
            json_array_append_new(shape, json_integer(tensors[i].dims[d]));
        uint64_t end = offset + (uint64_t)element_count(&tensors[i]) * dtype_size(dtype);
        json_object_set_new(root, tensors[i].name,
                            json_pack("{s:s, s:o, s:[I, I]}", "dtype", dtype_name(dtype), "shape",
                                      shape, "data_offsets", (json_int_t)offset, (json_int_t)end));
        offset = end;
    }
    char *json = json_dumps(root, JSON_COMPACT);
    json_decref(root);
    ASSERT(json != NULL, "a header of %lld tensors could not be written", (long long)n);
    struct text_buffer padded = {0};
    text_append(&padded, json);
    free(json);
    while (padded.length % 8 != 0) text_append_char(&padded, ' ');
    return text_take(&padded);
}

static enum status write_tensor(struct atomic_file *file, const struct safetensor_source *tensor,
                                enum dtype dtype)
{
    enum status status = OK;
    int64_t n = element_count(tensor);
    uint16_t *half = NULL;
    if (dtype == DTYPE_F32) {
        TRY(atomic_file_write(file, tensor->data, (size_t)n * sizeof(float)));
        goto out;
    }
    half = memory_new(CHUNK_ELEMENTS, sizeof *half);
    for (int64_t first = 0; first < n; first += CHUNK_ELEMENTS) {
        int64_t count = n - first < CHUNK_ELEMENTS ? n - first : CHUNK_ELEMENTS;
        for (int64_t i = 0; i < count; i++) {
            float value = tensor->data[first + i];
            half[i] = dtype == DTYPE_BF16 ? bf16_from_float(value) : f16_of(value);
            if (dtype == DTYPE_F16 && isfinite(value) && (half[i] & 0x7FFF) == 0x7C00)
                FAIL(ERR_LIMIT, "%s[%lld] is %g, beyond what F16 can hold; export as BF16 or F32",
                     tensor->name, (long long)(first + i), (double)value);
        }
        TRY(atomic_file_write(file, half, (size_t)count * sizeof *half));
    }
out:
    free(half);
    return status;
}

static enum status write_file(const char *path, const struct safetensor_source *tensors, int64_t n,
                              enum dtype dtype)
{
    enum status status = OK;
    struct atomic_file file = {0};
    char *header = header_of(tensors, n, dtype);
    uint64_t size = strlen(header);
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)(size >> 8 * i);

    TRY(atomic_file_open(&file, path));
    TRY(atomic_file_write(&file, prefix, sizeof prefix));
    TRY(atomic_file_write(&file, header, size));
    for (int64_t i = 0; i < n; i++) TRY(write_tensor(&file, &tensors[i], dtype));
    TRY(atomic_file_commit(&file));
out:
    atomic_file_abandon(&file);
    free(header);
    return status;
}

/* The first tensor of the file after the one that starts with `first`. */
static int64_t file_end(const struct safetensor_source *tensors, int64_t n_tensors, int64_t first,
                        enum dtype dtype, uint64_t shard_bytes)
{
    uint64_t bytes = 0;
    int64_t end = first;
    while (end < n_tensors) {
        bytes += (uint64_t)element_count(&tensors[end]) * dtype_size(dtype);
        if (end > first && bytes > shard_bytes) break;
        end++;
    }
    return end;
}

static enum status write_several(const char *directory, const struct safetensor_source *tensors,
                                 int64_t n_tensors, enum dtype dtype, uint64_t shard_bytes,
                                 int64_t n_files)
{
    enum status status = OK;
    char *path = NULL, *name = NULL, *text = NULL;
    json_t *map = json_object(), *root = NULL;
    int64_t total = 0, file = 0;
    for (int64_t first = 0, end; first < n_tensors; first = end) {
        end = file_end(tensors, n_tensors, first, dtype, shard_bytes);
        free(name);
        free(path);
        name = text_format("model-%05lld-of-%05lld.safetensors", (long long)++file,
                           (long long)n_files);
        path = path_join(directory, name);
        TRY(write_file(path, tensors + first, end - first, dtype));
        for (int64_t i = first; i < end; i++) {
            json_object_set_new(map, tensors[i].name, json_string(name));
            total += element_count(&tensors[i]) * (int64_t)dtype_size(dtype);
        }
    }
    root =
        json_pack("{s:{s:I}, s:O}", "metadata", "total_size", (json_int_t)total, "weight_map", map);
    text = json_dumps(root, JSON_INDENT(2) | JSON_SORT_KEYS);
    ASSERT(text != NULL, "the index could not be written");
    free(path);
    path = path_join(directory, "model.safetensors.index.json");
    TRY(file_write_atomic(path, text, strlen(text)));
out:
    json_decref(root);
    json_decref(map);
    free(text);
    free(name);
    free(path);
    return status;
}

enum status safetensors_write_folder(const char *directory, const struct safetensor_source *tensors,
                                     int64_t n_tensors, enum dtype dtype, uint64_t shard_bytes)
{
    enum status status = OK;
    char *path = path_join(directory, "model.safetensors");
    ASSERT(dtype == DTYPE_F32 || dtype == DTYPE_BF16 || dtype == DTYPE_F16, "dtype %d", dtype);
    TRY(directory_create(directory));
    int64_t n_files = 0;
    for (int64_t first = 0; first < n_tensors; n_files++)
        first = file_end(tensors, n_tensors, first, dtype, shard_bytes);
    if (n_files > 1)
        TRY(write_several(directory, tensors, n_tensors, dtype, shard_bytes, n_files));
    else
        TRY(write_file(path, tensors, n_tensors, dtype));
out:
    free(path);
    return status;
}
