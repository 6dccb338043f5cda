/* See matlab_file.h. The layout is that of The MathWorks' "MAT-File Format", level 5. */
#include "corpus/matlab_file.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/file.h"
#include "base/text_buffer.h"

#define MAX_FILE_BYTES     ((size_t)64 << 20)
#define MAX_VARIABLE_BYTES ((size_t)1 << 30)
#define HEADER_BYTES       128

enum data_type { /* of an element */
                 TYPE_INT8 = 1,
                 TYPE_UINT8 = 2,
                 TYPE_INT16 = 3,
                 TYPE_UINT16 = 4,
                 TYPE_INT32 = 5,
                 TYPE_UINT32 = 6,
                 TYPE_SINGLE = 7,
                 TYPE_DOUBLE = 9,
                 TYPE_INT64 = 12,
                 TYPE_UINT64 = 13,
                 TYPE_MATRIX = 14,
                 TYPE_COMPRESSED = 15,
                 TYPE_UTF8 = 16,
                 TYPE_UTF16 = 17
};

struct element {
    uint32_t type;
    const unsigned char *data;
    size_t size;
};

struct reader {
    const struct matlab_file *file;
    const unsigned char *at, *end;
};

static uint32_t u32_at(const unsigned char *bytes)
{
    return bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

static enum status fail_damaged(const struct matlab_file *file, const char *what)
{
    return status_fail(ERR_FORMAT,
                       "%s: %s; it is damaged or no MATLAB file of level 5: copy it "
                       "again",
                       file->path, what);
}

/* The next element: a tag of 8 bytes, then its data up to a multiple of 8; up to 4 bytes of data
 * lie in the tag itself. */
static enum status read_element(struct element *element_out, struct reader *reader)
{
    const size_t left = (size_t)(reader->end - reader->at);
    if (left < 8) return fail_damaged(reader->file, "an element has no tag");
    const uint32_t first = u32_at(reader->at);
    struct element element = {first & 0xFFFF, reader->at + 4, first >> 16};
    size_t whole = 8;
    if (element.size > 4) return fail_damaged(reader->file, "a short element is too long");
    if (element.size == 0) {
        element = (struct element){first, reader->at + 8, u32_at(reader->at + 4)};
        if (element.size > left - 8) return fail_damaged(reader->file, "an element is cut short");
        whole += element.size;
        if (element.type != TYPE_COMPRESSED) whole += (8 - element.size % 8) % 8;
        if (whole > left) whole = left;
    }
    reader->at += whole;
    *element_out = element;
    return OK;
}

static size_t size_of_type(uint32_t type)
{
    switch (type) {
    case TYPE_INT8:
    case TYPE_UINT8:
    case TYPE_UTF8: return 1;
    case TYPE_INT16:
    case TYPE_UINT16:
    case TYPE_UTF16: return 2;
    case TYPE_INT32:
    case TYPE_UINT32:
    case TYPE_SINGLE: return 4;
    case TYPE_DOUBLE:
    case TYPE_INT64:
    case TYPE_UINT64: return 8;
    default: return 0;
    }
}

/* The names of a struct's fields; its values are what is left. */
static enum status read_struct(struct matlab_value *value, struct reader *reader)
{
    enum status status = OK;
    struct element size = {0};
    struct element names = {0};
    TRY(read_element(&size, reader));
    TRY(read_element(&names, reader));
    value->name_size = size.size == 4 ? u32_at(size.data) : 0;
    if (value->name_size == 0 || names.size % value->name_size != 0)
        TRY(fail_damaged(reader->file, "a struct's names are of no size"));
    value->names = names.data;
    value->n_names = names.size / value->name_size;
    value->data = reader->at;
    value->size = (size_t)(reader->end - reader->at);
out:
    return status;
}

static enum status read_values(struct matlab_value *value, struct reader *reader)
{
    enum status status = OK;
    struct element values = {0};
    TRY(read_element(&values, reader));
    value->item_size = size_of_type(values.type);
    if (value->item_size == 0) TRY(fail_damaged(reader->file, "a matrix is of no type"));
    value->data = values.data;
    value->size = values.size;
    if ((uint64_t)value->height * (uint64_t)value->width * value->item_size > values.size)
        TRY(fail_damaged(reader->file, "a matrix is shorter than its sides say"));
out:
    return status;
}

/* What a matrix element holds. Classes that are not needed (cells, objects) are an empty matrix. */
static enum status read_matrix(struct matlab_value *value_out, struct element *name_out,
                               struct element matrix, const struct matlab_file *file)
{
    enum status status = OK;
    struct reader reader = {file, matrix.data, matrix.data + matrix.size};
    struct matlab_value value = {.class = MATLAB_NUMBERS};
    struct element flags = {0};
    struct element sides = {0};
    *value_out = value;
    *name_out = (struct element){0};
    if (matrix.size == 0) return OK;
    TRY(read_element(&flags, &reader));
    TRY(read_element(&sides, &reader));
    TRY(read_element(name_out, &reader));
    if (flags.size != 8 || sides.size < 8 || sides.size % 4 != 0)
        TRY(fail_damaged(file, "a matrix has no class or no sides"));
    const uint32_t class = flags.data[0];
    if (sides.size != 8 || (class != MATLAB_STRUCT && class < MATLAB_TEXT) || class > 15) return OK;
    value.height = (int64_t)u32_at(sides.data);
    value.width = (int64_t)u32_at(sides.data + 4);
    if (value.height > INT32_MAX || value.width > INT32_MAX)
        TRY(fail_damaged(file, "a matrix has a negative side"));
    if (class == MATLAB_STRUCT) {
        value.class = MATLAB_STRUCT;
        TRY(read_struct(&value, &reader));
    } else if (class == MATLAB_TEXT || class >= MATLAB_NUMBERS) {
        value.class = class == MATLAB_TEXT ? MATLAB_TEXT : MATLAB_NUMBERS;
        TRY(read_values(&value, &reader));
    } else {
        return OK; /* sparse */
    }
    *value_out = value;
out:
    return status;
}

/* Decompresses one element into file->variable. */
static enum status decompress(struct matlab_file *file, struct element packed)
{
    enum status status = OK;
    size_t capacity = packed.size * 4 + 4096;
    z_stream stream = {.next_in = (unsigned char *)packed.data, .avail_in = (uInt)packed.size};
    int code = Z_OK;
    free(file->variable);
    file->variable = NULL;
    if (inflateInit(&stream) != Z_OK)
        return status_fail(ERR_MEMORY, "%s: no memory to decompress it", file->path);
    while (code == Z_OK) {
        unsigned char *more = realloc(file->variable, capacity);
        if (more == NULL) FAIL(ERR_MEMORY, "%s: no memory for %zu bytes", file->path, capacity);
        file->variable = more;
        stream.next_out = more + stream.total_out;
        stream.avail_out = (uInt)(capacity - stream.total_out);
        code = inflate(&stream, Z_NO_FLUSH);
        if (code == Z_OK && stream.avail_out > 0) break; /* it needs input that is not there */
        capacity *= 2;
        if (capacity > MAX_VARIABLE_BYTES && code == Z_OK)
            FAIL(ERR_LIMIT, "%s: a variable has more than %zu bytes", file->path,
                 MAX_VARIABLE_BYTES / 2);
    }
    if (code != Z_STREAM_END) TRY(fail_damaged(file, "what is compressed in it is not whole"));
    file->variable_size = stream.total_out;
out:
    inflateEnd(&stream);
    return status;
}

static bool is_named(struct element name, const char *wanted)
{
    return name.size == strlen(wanted) && memcmp(name.data, wanted, name.size) == 0;
}

static enum status find_variable(struct matlab_value *value_out, struct matlab_file *file,
                                 const char *variable)
{
    enum status status = OK;
    struct reader reader = {file, file->bytes + HEADER_BYTES, file->bytes + file->size};
    while (reader.at < reader.end) {
        struct element element = {0};
        struct element name;
        TRY(read_element(&element, &reader));
        if (element.type == TYPE_COMPRESSED) {
            TRY(decompress(file, element));
            struct reader inside = {file, file->variable, file->variable + file->variable_size};
            TRY(read_element(&element, &inside));
        }
        if (element.type != TYPE_MATRIX) continue;
        TRY(read_matrix(value_out, &name, element, file));
        if (is_named(name, variable)) return OK;
    }
    FAIL(ERR_FORMAT, "%s: it has no variable '%s'", file->path, variable);
out:
    return status;
}

enum status matlab_open(struct matlab_file *file_out, struct matlab_value *value_out,
                        const char *path, const char *variable)
{
    enum status status = OK;
    struct matlab_file file = {.path = text_copy(path)};
    TRY(file_read(&file.bytes, &file.size, path, MAX_FILE_BYTES));
    if (file.size < HEADER_BYTES || file.bytes[124] != 0 || file.bytes[125] != 1 ||
        memcmp(file.bytes + 126, "IM", 2) != 0)
        TRY(fail_damaged(&file, "its header is not that of a little-endian file"));
    TRY(find_variable(value_out, &file, variable));
    *file_out = file;
    file = (struct matlab_file){0};
out:
    matlab_release(&file);
    return status;
}

void matlab_release(struct matlab_file *file)
{
    free(file->path);
    free(file->bytes);
    free(file->variable);
    *file = (struct matlab_file){0};
}

/* The place of a field's name among the others; n_names: it is not there. */
static size_t find_name(const struct matlab_value *object, const char *name)
{
    const size_t size = strlen(name);
    for (size_t i = 0; i < object->n_names && size <= object->name_size; i++) {
        const unsigned char *at = object->names + i * object->name_size;
        if (memcmp(at, name, size) == 0 && (size == object->name_size || at[size] == '\0'))
            return i;
    }
    return object->n_names;
}

enum status matlab_field(struct matlab_value *value_out, const struct matlab_file *file,
                         const struct matlab_value *object, const char *name, int64_t index)
{
    enum status status = OK;
    struct element element = {0};
    struct element unused;
    *value_out = (struct matlab_value){.class = MATLAB_NUMBERS};
    if (object->class != MATLAB_STRUCT) TRY(fail_damaged(file, "what must be a struct is none"));
    const size_t place = find_name(object, name);
    if (place == object->n_names) return OK;
    struct reader reader = {file, object->data, object->data + object->size};
    const uint64_t n = (uint64_t)index * object->n_names + place;
    for (uint64_t i = 0; i <= n; i++) TRY(read_element(&element, &reader));
    if (element.type != TYPE_MATRIX) TRY(fail_damaged(file, "a field holds no matrix"));
    TRY(read_matrix(value_out, &unused, element, file));
out:
    return status;
}

int64_t matlab_n_structs(const struct matlab_value *value)
{
    return value->class == MATLAB_STRUCT ? value->height * value->width : 0;
}

char *matlab_text(const struct matlab_value *value)
{
    if (value->class != MATLAB_TEXT || value->height != 1) return NULL;
    char *text = memory_new((size_t)value->width + 1, 1);
    for (int64_t i = 0; i < value->width; i++) {
        const unsigned char *at = value->data + (size_t)i * value->item_size;
        const bool is_wide = value->item_size > 1 && at[1] != 0;
        text[i] = is_wide || at[0] < 0x20 || at[0] > 0x7E ? '?' : (char)at[0];
    }
    return text;
}

bool matlab_is_set(const struct matlab_value *value, int64_t index)
{
    const unsigned char *at = value->data + (size_t)index * value->item_size;
    for (size_t i = 0; i < value->item_size; i++)
        if (at[i] != 0) return true;
    return false;
}
