/* See safetensors.h. */
#include "checkpoint/safetensors.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/assertion.h"
#include "base/file.h"
#include "base/text_buffer.h"

#define MAX_NAME       1024 /* bytes */
#define MAX_ELEMENTS   (INT64_C(1) << 50)
#define CONVERT_BUFFER 4096 /* elements */

struct safetensors {
    char *path;
    int fd;
    json_t *header;
    struct safetensor *tensors;
    int64_t n_tensors;
};

struct dtype_name {
    const char *name;
    enum dtype dtype;
};

static const struct dtype_name dtype_names[] = {
    {"F32", DTYPE_F32}, {"BF16", DTYPE_BF16}, {"F16", DTYPE_F16}, {"F64", DTYPE_F64},
    {"I32", DTYPE_I32}, {"I64", DTYPE_I64},   {"U8", DTYPE_U8},
};

/* ---- opening ---- */

static uint64_t little_endian_u64(const unsigned char *bytes)
{
    uint64_t value = 0;
    for (int i = 7; i >= 0; i--) value = value << 8 | bytes[i];
    return value;
}

static enum status read_header(struct safetensors *file, uint64_t *data_start_out,
                               uint64_t *file_size_out)
{
    enum status status = OK;
    char *text = NULL;
    struct stat info;
    unsigned char length_bytes[8];
    if (fstat(file->fd, &info) != 0)
        FAIL(ERR_IO, "cannot read %s: %s", file->path, strerror(errno));
    if (!S_ISREG(info.st_mode)) FAIL(ERR_FORMAT, "%s is not a regular file", file->path);
    uint64_t size = (uint64_t)info.st_size;
    if (size < 8)
        FAIL(ERR_FORMAT, "%s: %llu bytes are too few for a safetensors file; fetch it again",
             file->path, (unsigned long long)size);
    TRY(file_pread(file->fd, length_bytes, 8, 0, file->path));
    uint64_t length = little_endian_u64(length_bytes);
    if (length > SAFETENSORS_MAX_HEADER)
        FAIL(ERR_LIMIT,
             "%s: header length %llu is beyond the format's limit of %lld bytes; it is no "
             "safetensors file, or damaged",
             file->path, (unsigned long long)length, (long long)SAFETENSORS_MAX_HEADER);
    if (length > size - 8)
        FAIL(ERR_FORMAT,
             "%s: header length %llu, but only %llu bytes follow; the file is cut short or no "
             "safetensors file",
             file->path, (unsigned long long)length, (unsigned long long)(size - 8));
    text = malloc((size_t)length + 1);
    if (text == NULL) FAIL(ERR_MEMORY, "no memory for the header of %s", file->path);
    TRY(file_pread(file->fd, text, (size_t)length, 8, file->path));
    if (length == 0 || text[0] != '{')
        FAIL(ERR_FORMAT, "%s: the header does not begin with '{'; it is no safetensors file",
             file->path);
    json_error_t error;
    file->header = json_loadb(text, (size_t)length, JSON_REJECT_DUPLICATES, &error);
    if (file->header == NULL)
        FAIL(ERR_FORMAT, "%s: header, byte %d: %s; the file is damaged", file->path, error.position,
             error.text);
    *data_start_out = 8 + length;
    *file_size_out = size;
out:
    free(text);
    return status;
}

static enum status parse_dtype(struct safetensor *tensor, const json_t *entry, const char *path)
{
    enum status status = OK;
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (name == NULL)
        FAIL(ERR_FORMAT, "%s: tensor '%s': field 'dtype' is missing or no string", path,
             tensor->name);
    for (size_t i = 0; i < sizeof dtype_names / sizeof dtype_names[0]; i++) {
        if (strcmp(dtype_names[i].name, name) == 0) {
            tensor->dtype = dtype_names[i].dtype;
            goto out;
        }
    }
    FAIL(ERR_UNSUPPORTED,
         "%s: tensor '%s': dtype '%.20s' is not read here; convert it to F32, F16 or BF16", path,
         tensor->name, name);
out:
    return status;
}

static enum status parse_shape(struct safetensor *tensor, const json_t *entry, const char *path)
{
    enum status status = OK;
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        FAIL(ERR_FORMAT, "%s: tensor '%s': field 'shape' is missing or no array", path,
             tensor->name);
    if (json_array_size(shape) > SAFETENSORS_MAX_DIMS)
        FAIL(ERR_LIMIT, "%s: tensor '%s' has %zu dims; the limit is %d", path, tensor->name,
             json_array_size(shape), SAFETENSORS_MAX_DIMS);
    tensor->n_dims = (int)json_array_size(shape);
    tensor->n_elements = 1;
    bool is_empty = false;
    for (int d = 0; d < tensor->n_dims; d++) {
        const json_t *dim = json_array_get(shape, (size_t)d);
        if (!json_is_integer(dim) || json_integer_value(dim) < 0)
            FAIL(ERR_FORMAT, "%s: tensor '%s': shape[%d] is no size", path, tensor->name, d);
        int64_t value = json_integer_value(dim);
        tensor->dims[d] = value;
        is_empty = is_empty || value == 0;
        if (value > 0 && tensor->n_elements > MAX_ELEMENTS / value)
            FAIL(ERR_LIMIT, "%s: tensor '%s' would have more than 2^50 elements", path,
                 tensor->name);
        if (value > 0) tensor->n_elements *= value;
    }
    if (is_empty) tensor->n_elements = 0;
out:
    return status;
}

static enum status parse_offsets(struct safetensor *tensor, const json_t *entry, const char *path,
                                 uint64_t data_start, uint64_t file_size)
{
    enum status status = OK;
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const json_t *begin = json_array_get(offsets, 0);
    const json_t *end = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(begin) || !json_is_integer(end))
        FAIL(ERR_FORMAT, "%s: tensor '%s': field 'data_offsets' must be two integers", path,
             tensor->name);
    json_int_t from = json_integer_value(begin);
    json_int_t to = json_integer_value(end);
    uint64_t data_size = file_size - data_start;
    if (from < 0 || to < from || (uint64_t)to > data_size)
        FAIL(ERR_FORMAT,
             "%s: tensor '%s': data_offsets [%lld, %lld] do not lie in the %llu bytes of data; the "
             "file is cut short or damaged",
             path, tensor->name, (long long)from, (long long)to, (unsigned long long)data_size);
    uint64_t wanted = (uint64_t)tensor->n_elements * dtype_size(tensor->dtype);
    if ((uint64_t)(to - from) != wanted)
        FAIL(ERR_FORMAT, "%s: tensor '%s': data_offsets hold %lld bytes, its shape needs %llu",
             path, tensor->name, (long long)(to - from), (unsigned long long)wanted);
    tensor->offset = data_start + (uint64_t)from;
out:
    return status;
}

static enum status check_metadata(const json_t *metadata, const char *path)
{
    enum status status = OK;
    if (!json_is_object(metadata))
        FAIL(ERR_FORMAT, "%s: '__metadata__' must be an object of strings", path);
    const char *key = NULL;
    json_t *value = NULL;
    json_object_foreach((json_t *)metadata, key, value)
    {
        if (!json_is_string(value))
            FAIL(ERR_FORMAT, "%s: __metadata__ '%.40s' is no string", path, key);
    }
out:
    return status;
}

static int compare_offsets(const void *a, const void *b)
{
    const struct safetensor *x = a;
    const struct safetensor *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    /* Empty tensors come before the one that begins where they stand. */
    if ((x->n_elements == 0) != (y->n_elements == 0)) return x->n_elements == 0 ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Every byte of the data belongs to exactly one tensor. */
static enum status check_coverage(const struct safetensors *file, uint64_t data_start,
                                  uint64_t file_size)
{
    enum status status = OK;
    uint64_t end = data_start;
    for (int64_t i = 0; i < file->n_tensors; i++) {
        const struct safetensor *tensor = &file->tensors[i];
        if (tensor->offset < end)
            FAIL(ERR_FORMAT, "%s: tensor '%s' overlaps tensor '%s'; the file is damaged",
                 file->path, tensor->name, file->tensors[i - 1].name);
        if (tensor->offset > end)
            FAIL(ERR_FORMAT,
                 "%s: %llu bytes before tensor '%s' belong to none; the file is damaged",
                 file->path, (unsigned long long)(tensor->offset - end), tensor->name);
        end = tensor->offset + (uint64_t)tensor->n_elements * dtype_size(tensor->dtype);
    }
    if (end != file_size)
        FAIL(ERR_FORMAT, "%s: %llu bytes after the last tensor belong to none; the file is damaged",
             file->path, (unsigned long long)(file_size - end));
out:
    return status;
}

static enum status parse_tensors(struct safetensors *file, uint64_t data_start, uint64_t file_size)
{
    enum status status = OK;
    size_t n = json_object_size(file->header);
    file->tensors = calloc(n + 1, sizeof *file->tensors);
    if (file->tensors == NULL)
        FAIL(ERR_MEMORY, "no memory for the %zu tensors of %s", n, file->path);
    const char *name = NULL;
    json_t *entry = NULL;
    json_object_foreach(file->header, name, entry)
    {
        if (strcmp(name, "__metadata__") == 0) {
            TRY(check_metadata(entry, file->path));
            continue;
        }
        if (name[0] == '\0' || strlen(name) > MAX_NAME)
            FAIL(ERR_FORMAT, "%s: a tensor's name must have 1 to %d bytes", file->path, MAX_NAME);
        if (!json_is_object(entry) || json_object_size(entry) != 3)
            FAIL(ERR_FORMAT,
                 "%s: tensor '%s' must be an object with exactly dtype, shape and data_offsets",
                 file->path, name);
        struct safetensor *tensor = &file->tensors[file->n_tensors];
        tensor->name = name;
        TRY(parse_dtype(tensor, entry, file->path));
        TRY(parse_shape(tensor, entry, file->path));
        TRY(parse_offsets(tensor, entry, file->path, data_start, file_size));
        file->n_tensors++;
    }
    qsort(file->tensors, (size_t)file->n_tensors, sizeof *file->tensors, compare_offsets);
    TRY(check_coverage(file, data_start, file_size));
out:
    return status;
}

enum status safetensors_open(struct safetensors **file_out, const char *path)
{
    enum status status = OK;
    struct safetensors *file = memory_new(1, sizeof *file);
    uint64_t data_start = 0;
    uint64_t file_size = 0;
    file->path = text_copy(path);
    file->fd = open(path, O_RDONLY | O_CLOEXEC);
    if (file->fd < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    TRY(read_header(file, &data_start, &file_size));
    TRY(parse_tensors(file, data_start, file_size));
    *file_out = file;
    file = NULL;
out:
    safetensors_close(file);
    return status;
}

void safetensors_close(struct safetensors *file)
{
    if (file == NULL) return;
    if (file->fd >= 0) close(file->fd);
    json_decref(file->header);
    free(file->tensors);
    free(file->path);
    free(file);
}

/* ---- asking ---- */

const char *safetensors_path(const struct safetensors *file)
{
    return file->path;
}

int64_t safetensors_count(const struct safetensors *file)
{
    return file->n_tensors;
}

const struct safetensor *safetensors_at(const struct safetensors *file, int64_t index)
{
    ASSERT(index >= 0 && index < file->n_tensors, "tensor %lld of %lld", (long long)index,
           (long long)file->n_tensors);
    return &file->tensors[index];
}

const struct safetensor *safetensors_find(const struct safetensors *file, const char *name)
{
    for (int64_t i = 0; i < file->n_tensors; i++) {
        if (strcmp(file->tensors[i].name, name) == 0) return &file->tensors[i];
    }
    return NULL;
}

/* ---- reading ---- */

enum status safetensors_read(const struct safetensors *file, const struct safetensor *tensor,
                             void *out, int64_t first, int64_t n)
{
    ASSERT(first >= 0 && n >= 0 && first <= tensor->n_elements && n <= tensor->n_elements - first,
           "elements %lld + %lld of tensor %s", (long long)first, (long long)n, tensor->name);
    size_t size = dtype_size(tensor->dtype);
    return file_pread(file->fd, out, (size_t)n * size, tensor->offset + (uint64_t)first * size,
                      file->path);
}

static float float_from_bits(uint32_t bits)
{
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static float float_from_half(uint16_t half)
{
    uint32_t sign = (uint32_t)(half & 0x8000u) << 16;
    uint32_t exponent = (half >> 10) & 31u;
    uint32_t mantissa = half & 1023u;
    if (exponent == 31) return float_from_bits(sign | 0x7f800000u | mantissa << 13);
    if (exponent > 0) return float_from_bits(sign | (exponent + 112) << 23 | mantissa << 13);
    float magnitude = (float)mantissa * 0x1p-24f; /* zero and subnormals */
    return sign != 0 ? -magnitude : magnitude;
}

union block {
    uint16_t halves[CONVERT_BUFFER];
    double doubles[CONVERT_BUFFER];
};

static void convert(float *out, const union block *in, int64_t n, enum dtype dtype)
{
    const uint16_t *halves = in->halves;
    const double *doubles = in->doubles;
    switch (dtype) {
    case DTYPE_BF16:
        for (int64_t i = 0; i < n; i++) out[i] = float_from_bits((uint32_t)halves[i] << 16);
        break;
    case DTYPE_F16:
        for (int64_t i = 0; i < n; i++) out[i] = float_from_half(halves[i]);
        break;
    case DTYPE_F64:
        for (int64_t i = 0; i < n; i++) out[i] = (float)doubles[i];
        break;
    default: ASSERT(false, "dtype %d is not converted", (int)dtype);
    }
}

enum status safetensors_read_float(const struct safetensors *file, const struct safetensor *tensor,
                                   float *out, int64_t first, int64_t n)
{
    enum status status = OK;
    union block buffer;
    if (tensor->dtype == DTYPE_F32) return safetensors_read(file, tensor, out, first, n);
    if (tensor->dtype != DTYPE_BF16 && tensor->dtype != DTYPE_F16 && tensor->dtype != DTYPE_F64)
        FAIL(ERR_UNSUPPORTED, "%s: tensor '%s' holds integers where floats are wanted", file->path,
             tensor->name);
    for (int64_t done = 0; done < n; done += CONVERT_BUFFER) {
        int64_t part = n - done < CONVERT_BUFFER ? n - done : CONVERT_BUFFER;
        TRY(safetensors_read(file, tensor, &buffer, first + done, part));
        convert(out + done, &buffer, part, tensor->dtype);
    }
out:
    return status;
}
