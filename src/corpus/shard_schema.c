/* The tables of a shard as HDF5 types, from one list of columns. */
#include "corpus/shard_schema.h"

#include <stddef.h>
#include <string.h>

enum column_type { U8, U32, U64, I64, F64 };

struct column {
    const char *name;
    enum column_type type;
    size_t offset;
};

#define COLUMN(row, field, type)                                                                   \
    {                                                                                              \
#field, type, offsetof(struct row, field)                                                  \
    }
#define RANGE(row, name) COLUMN(row, name##_first, U64), COLUMN(row, name##_count, U64)

static const struct column record_columns[] = {
    COLUMN(row_record, image_offset, U64),
    COLUMN(row_record, image_size, U64),
    RANGE(row_record, region),
    RANGE(row_record, run),
    RANGE(row_record, object),
    RANGE(row_record, attribute),
    RANGE(row_record, relation),
    RANGE(row_record, text),
    RANGE(row_record, turn),
    RANGE(row_record, string),
    COLUMN(row_record, id_offset, U64),
    COLUMN(row_record, source_offset, U64),
    COLUMN(row_record, id_size, U32),
    COLUMN(row_record, source_size, U32),
    COLUMN(row_record, height, U32),
    COLUMN(row_record, width, U32),
    COLUMN(row_record, crc32c, U32),
    COLUMN(row_record, more, U32),
};
static const struct column region_columns[] = {
    COLUMN(row_region, x1, F64), COLUMN(row_region, y1, F64), COLUMN(row_region, x2, F64),
    COLUMN(row_region, y2, F64), RANGE(row_region, run),
};
static const struct column object_columns[] = {
    COLUMN(row_object, name_offset, U64), COLUMN(row_object, attribute_first, U64),
    COLUMN(row_object, name_size, U32),   COLUMN(row_object, attribute_count, U32),
    COLUMN(row_object, region, U64),
};
static const struct column attribute_columns[] = {
    COLUMN(row_attribute, text_offset, U64),
    COLUMN(row_attribute, text_size, U64),
};
static const struct column relation_columns[] = {
    COLUMN(row_relation, predicate_offset, U64), COLUMN(row_relation, kind_offset, U64),
    COLUMN(row_relation, predicate_size, U32),   COLUMN(row_relation, kind_size, U32),
    COLUMN(row_relation, subject, U32),          COLUMN(row_relation, object, U32),
};
static const struct column text_columns[] = {
    COLUMN(row_text, task_offset, U64), COLUMN(row_text, turn_first, U64),
    COLUMN(row_text, task_size, U32),   COLUMN(row_text, turn_count, U32),
    COLUMN(row_text, region, I64),
};
static const struct column turn_columns[] = {
    COLUMN(row_turn, question_offset, U64),
    COLUMN(row_turn, answer_offset, U64),
    COLUMN(row_turn, question_size, U32),
    COLUMN(row_turn, answer_size, U32),
};
static const struct column more_columns[] = {
    RANGE(row_more, point),  RANGE(row_more, choice),        RANGE(row_more, reference),
    RANGE(row_more, origin), COLUMN(row_more, picture, U64),
};
static const struct column point_columns[] = {
    COLUMN(row_point, x, F64),
    COLUMN(row_point, y, F64),
};
static const struct column choice_columns[] = {
    COLUMN(row_choice, text_offset, U64), COLUMN(row_choice, text_size, U32),
    COLUMN(row_choice, turn, U32),        COLUMN(row_choice, is_right, U32),
    COLUMN(row_choice, reserved, U32),
};
static const struct column reference_columns[] = {
    COLUMN(row_reference, turn, U32),
    COLUMN(row_reference, object, U32),
};
static const struct column origin_columns[] = {
    COLUMN(row_origin, text_offset, U64),
    COLUMN(row_origin, text_size, U32),
    COLUMN(row_origin, text, U32),
};
static const struct column picture_columns[] = {
    {"hash0", U64, offsetof(struct row_picture, hash.words[0])},
    {"hash1", U64, offsetof(struct row_picture, hash.words[1])},
    {"hash2", U64, offsetof(struct row_picture, hash.words[2])},
    {"hash3", U64, offsetof(struct row_picture, hash.words[3])},
    COLUMN(row_picture, offset, U64),
    COLUMN(row_picture, size, U64),
    COLUMN(row_picture, corpus, U32),
    COLUMN(row_picture, shard, U32),
};
static const struct column run_columns[] = {{NULL, U32, 0}};
static const struct column byte_columns[] = {{NULL, U8, 0}};

#define COLUMNS(list) list, sizeof list / sizeof list[0]

static const struct table {
    const char *name;
    size_t row_bytes;
    const struct column *columns;
    size_t n_columns;
} tables[N_SHARD_TABLES] = {
    [TABLE_RECORDS] = {"records", sizeof(struct row_record), COLUMNS(record_columns)},
    [TABLE_REGIONS] = {"regions", sizeof(struct row_region), COLUMNS(region_columns)},
    [TABLE_RUNS] = {"runs", sizeof(uint32_t), COLUMNS(run_columns)},
    [TABLE_OBJECTS] = {"objects", sizeof(struct row_object), COLUMNS(object_columns)},
    [TABLE_ATTRIBUTES] = {"attributes", sizeof(struct row_attribute), COLUMNS(attribute_columns)},
    [TABLE_RELATIONS] = {"relations", sizeof(struct row_relation), COLUMNS(relation_columns)},
    [TABLE_TEXTS] = {"texts", sizeof(struct row_text), COLUMNS(text_columns)},
    [TABLE_TURNS] = {"turns", sizeof(struct row_turn), COLUMNS(turn_columns)},
    [TABLE_STRINGS] = {"strings", 1, COLUMNS(byte_columns)},
    [TABLE_IMAGES] = {"images", 1, COLUMNS(byte_columns)},
    [TABLE_MORE] = {"more", sizeof(struct row_more), COLUMNS(more_columns)},
    [TABLE_POINTS] = {"points", sizeof(struct row_point), COLUMNS(point_columns)},
    [TABLE_CHOICES] = {"choices", sizeof(struct row_choice), COLUMNS(choice_columns)},
    [TABLE_REFERENCES] = {"references", sizeof(struct row_reference), COLUMNS(reference_columns)},
    [TABLE_ORIGINS] = {"origins", sizeof(struct row_origin), COLUMNS(origin_columns)},
    [TABLE_PICTURES] = {"pictures", sizeof(struct row_picture), COLUMNS(picture_columns)},
};

const char *shard_table_name(enum shard_table table)
{
    return tables[table].name;
}

size_t shard_table_row_bytes(enum shard_table table)
{
    return tables[table].row_bytes;
}

static hid_t column_type(enum column_type type)
{
    switch (type) {
    case U8: return H5T_STD_U8LE;
    case U32: return H5T_STD_U32LE;
    case U64: return H5T_STD_U64LE;
    case I64: return H5T_STD_I64LE;
    case F64: return H5T_IEEE_F64LE;
    }
    return -1;
}

bool shard_table_exists(enum shard_table table, uint32_t version)
{
    return version > 1 || table < TABLE_MORE;
}

static const char *column_name(const struct column *column, uint32_t version)
{
    return version == 1 && strcmp(column->name, "more") == 0 ? "reserved" : column->name;
}

hid_t shard_table_type(enum shard_table which, uint32_t version)
{
    const struct table *table = &tables[which];
    if (table->columns[0].name == NULL) return H5Tcopy(column_type(table->columns[0].type));
    const hid_t type = H5Tcreate(H5T_COMPOUND, table->row_bytes);
    if (type < 0) return type;
    for (size_t i = 0; i < table->n_columns; i++) {
        const struct column *column = &table->columns[i];
        if (H5Tinsert(type, column_name(column, version), column->offset,
                      column_type(column->type)) < 0) {
            H5Tclose(type);
            return -1;
        }
    }
    return type;
}

hid_t shard_file_access(void)
{
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0) return access;
    if (H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_V18) < 0 ||
        H5Pset_file_locking(access, false, true) < 0) {
        H5Pclose(access);
        return -1;
    }
    return access;
}

/* The innermost entry of HDF5's error stack says what really happened. */
static herr_t take_first(unsigned n, const H5E_error2_t *entry, void *text)
{
    if (n == 0) *(const char **)text = entry->desc;
    return 0;
}

enum status shard_fail_hdf5(enum status code, const char *what, const char *path)
{
    const char *text = "no reason given";
    const hid_t stack = H5Eget_current_stack();
    H5Ewalk2(stack, H5E_WALK_UPWARD, take_first, &text);
    const enum status status = status_fail(code, "cannot %s %s: HDF5: %s", what, path, text);
    H5Eclose_stack(stack);
    return status;
}

void shard_silence_hdf5(void)
{
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}
