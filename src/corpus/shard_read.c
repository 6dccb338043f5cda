/* Reads one shard file. HDF5 tells once where the tables lie; every record after that is a few
 * preads from any thread. Nothing read is believed: every range is compared with its table, every
 * length with what precedes it, the whole record with its checksum. */
#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/shard_file.h"

void shard_close(struct shard *shard)
{
    if (shard->path != NULL && shard->fd >= 0) close(shard->fd);
    free(shard->path);
    *shard = (struct shard){0};
}

/* An attribute of the root of exactly that type, as written. */
static enum status attribute_read(hid_t file, const char *name, hid_t type, void *value,
                                  const char *path)
{
    enum status status = OK;
    hid_t found = -1;
    hid_t space = -1;
    const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    if (attribute < 0)
        FAIL(ERR_FORMAT, "%s is HDF5 but no shard of a corpus: it has no attribute '%s'", path,
             name);
    found = H5Aget_type(attribute);
    space = H5Aget_space(attribute);
    if (H5Tequal(found, type) <= 0 || H5Sget_simple_extent_type(space) != H5S_SCALAR)
        FAIL(ERR_FORMAT, "%s: attribute '%s' is not of the schema's type", path, name);
    if (H5Aread(attribute, type, value) < 0)
        TRY(shard_fail_hdf5(ERR_FORMAT, "read an attribute of", path));
out:
    if (space >= 0) H5Sclose(space);
    if (found >= 0) H5Tclose(found);
    if (attribute >= 0) H5Aclose(attribute);
    return status;
}

/* A fixed-length string attribute into `text` of SHARD_MAX_NAME_BYTES + 1. */
static enum status attribute_read_text(hid_t file, const char *name, char *text, const char *path)
{
    enum status status = OK;
    hid_t type = -1;
    const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    if (attribute < 0)
        FAIL(ERR_FORMAT, "%s is HDF5 but no shard of a corpus: it has no attribute '%s'", path,
             name);
    type = H5Aget_type(attribute);
    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) != 0 ||
        H5Tget_size(type) > SHARD_MAX_NAME_BYTES ||
        H5Aget_storage_size(attribute) != H5Tget_size(type))
        FAIL(ERR_FORMAT, "%s: attribute '%s' is not a string of 1 to %d bytes", path, name,
             SHARD_MAX_NAME_BYTES);
    memset(text, 0, SHARD_MAX_NAME_BYTES + 1);
    if (H5Aread(attribute, type, text) < 0)
        TRY(shard_fail_hdf5(ERR_FORMAT, "read an attribute of", path));
out:
    if (type >= 0) H5Tclose(type);
    if (attribute >= 0) H5Aclose(attribute);
    return status;
}

static enum status attributes_read(struct shard *shard, hid_t file)
{
    enum status status = OK;
    char format[SHARD_MAX_NAME_BYTES + 1];
    uint64_t number;
    TRY(attribute_read_text(file, "format", format, shard->path));
    if (strcmp(format, SHARD_FORMAT) != 0)
        FAIL(ERR_FORMAT, "%s: format is '%s', not '%s'", shard->path, format, SHARD_FORMAT);
    TRY(attribute_read(file, "schema_version", H5T_STD_U32LE, &shard->version, shard->path));
    if (shard->version < SHARD_SCHEMA_OLDEST || shard->version > SHARD_SCHEMA_VERSION)
        FAIL(ERR_FORMAT,
             "%s: schema_version is %u; this program reads %d to %d: build the corpus again",
             shard->path, shard->version, SHARD_SCHEMA_OLDEST, SHARD_SCHEMA_VERSION);
    TRY(attribute_read_text(file, "corpus", shard->corpus, shard->path));
    TRY(attribute_read(file, "shard", H5T_STD_U64LE, &number, shard->path));
    if (number > INT32_MAX) FAIL(ERR_FORMAT, "%s: attribute 'shard' is out of range", shard->path);
    shard->number = (int64_t)number;
    TRY(attribute_read(file, "records_crc32c", H5T_STD_U32LE, &shard->records_crc, shard->path));
out:
    return status;
}

/* The table's rows lie inside the file. */
static enum status check_extent(const struct shard *shard, enum shard_table table,
                                uint64_t file_bytes)
{
    const uint64_t first = shard->offset[table];
    const uint64_t rows = shard->count[table];
    if (first <= file_bytes && rows <= (file_bytes - first) / shard_table_row_bytes(table))
        return OK;
    return status_fail(
        ERR_FORMAT, "%s: table /%s has %llu rows at byte %llu, beyond the end of the file",
        shard->path, shard_table_name(table), (unsigned long long)rows, (unsigned long long)first);
}

/* Type, layout and extent of an open table; links to other files never get here. */
static enum status table_look(struct shard *shard, enum shard_table table, hid_t set,
                              uint64_t file_bytes)
{
    enum status status = OK;
    const char *name = shard_table_name(table);
    const hid_t wanted = shard_table_type(table, shard->version);
    const hid_t found = H5Dget_type(set);
    const hid_t space = H5Dget_space(set);
    const hid_t layout = H5Dget_create_plist(set);
    hsize_t rows = 0;
    if (H5Tequal(found, wanted) <= 0)
        FAIL(ERR_FORMAT, "%s: table /%s does not have the columns of schema %u", shard->path, name,
             shard->version);
    if (H5Pget_layout(layout) != H5D_CONTIGUOUS || H5Pget_external_count(layout) != 0)
        FAIL(ERR_FORMAT, "%s: table /%s is not contiguous; it was rewritten by another tool",
             shard->path, name);
    if (H5Sget_simple_extent_ndims(space) != 1 ||
        H5Sget_simple_extent_dims(space, &rows, NULL) != 1)
        FAIL(ERR_FORMAT, "%s: table /%s does not have one dimension", shard->path, name);
    const haddr_t offset = rows == 0 ? 0 : H5Dget_offset(set);
    shard->offset[table] = offset;
    shard->count[table] = rows;
    TRY(check_extent(shard, table, file_bytes));
out:
    if (layout >= 0) H5Pclose(layout);
    if (space >= 0) H5Sclose(space);
    if (found >= 0) H5Tclose(found);
    if (wanted >= 0) H5Tclose(wanted);
    return status;
}

static enum status table_open(struct shard *shard, enum shard_table table, hid_t file,
                              uint64_t file_bytes)
{
    enum status status = OK;
    const char *name = shard_table_name(table);
    hid_t set = -1;
    H5L_info_t link;
    if (H5Lget_info(file, name, &link, H5P_DEFAULT) < 0 || link.type != H5L_TYPE_HARD)
        FAIL(ERR_FORMAT, "%s: table /%s is missing", shard->path, name);
    set = H5Dopen2(file, name, H5P_DEFAULT);
    if (set < 0) TRY(shard_fail_hdf5(ERR_FORMAT, "open a table of", shard->path));
    TRY_WHERE(table_look(shard, table, set, file_bytes), "schema");
out:
    if (set >= 0) H5Dclose(set);
    return status;
}

static enum status file_open(int *fd_out, struct stat *about, const char *path)
{
    enum status status = OK;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == EMFILE)
        FAIL(ERR_IO, "cannot open %s: too many open files; raise 'ulimit -n' or make larger shards",
             path);
    if (fd < 0) FAIL(ERR_IO, "cannot open %s: %s", path, strerror(errno));
    if (fstat(fd, about) != 0 || !S_ISREG(about->st_mode))
        FAIL(ERR_FORMAT, "cannot read %s: it is no regular file", path);
    *fd_out = fd;
    fd = -1;
out:
    if (fd >= 0) close(fd);
    return status;
}

enum status shard_open(struct shard *shard_out, const char *path)
{
    enum status status = OK;
    struct shard shard = {.path = text_copy(path), .fd = -1};
    hid_t access = -1;
    hid_t file = -1;
    struct stat about;
    TRY(file_open(&shard.fd, &about, path));
    shard_silence_hdf5();
    access = shard_file_access();
    file = H5Fopen(path, H5F_ACC_RDONLY, access);
    if (file < 0) TRY(shard_fail_hdf5(ERR_FORMAT, "read the header of", path));
    TRY(attributes_read(&shard, file));
    for (int table = 0; table < N_SHARD_TABLES; table++)
        if (shard_table_exists((enum shard_table)table, shard.version))
            TRY(table_open(&shard, (enum shard_table)table, file, (uint64_t)about.st_size));
    *shard_out = shard;
out:
    if (file >= 0) H5Fclose(file);
    if (access >= 0) H5Pclose(access);
    if (status != OK) shard_close(&shard);
    return status;
}

struct extent { /* of a table in the file */
    uint64_t first, end;
};

static int compare_extents(const void *a, const void *b)
{
    const struct extent *left = a;
    const struct extent *right = b;
    return left->first < right->first ? -1 : left->first > right->first;
}

static enum status crc_of_range(uint32_t *crc, const struct shard *shard, uint64_t first,
                                uint64_t end)
{
    enum status status = OK;
    unsigned char bytes[4096];
    for (uint64_t at = first; at < end;) {
        const size_t size = end - at < sizeof bytes ? (size_t)(end - at) : sizeof bytes;
        TRY(file_pread(shard->fd, bytes, size, at, shard->path));
        *crc = crc32c(*crc, bytes, size);
        at += size;
    }
out:
    return status;
}

enum status shard_frame_crc(const struct shard *shard, uint32_t *crc_out)
{
    enum status status = OK;
    struct extent extents[N_SHARD_TABLES + 1];
    struct stat about;
    size_t n = 0;
    uint64_t end = 0;
    if (fstat(shard->fd, &about) != 0)
        FAIL(ERR_IO, "cannot look at %s: %s", shard->path, strerror(errno));
    const uint64_t file_bytes = (uint64_t)about.st_size;
    for (int table = 0; table < N_SHARD_TABLES; table++) {
        const uint64_t row_bytes = shard_table_row_bytes((enum shard_table)table);
        const uint64_t first = shard->offset[table];
        if (shard->count[table] == 0) continue;
        TRY(check_extent(shard, (enum shard_table)table, file_bytes));
        extents[n++] = (struct extent){first, first + shard->count[table] * row_bytes};
    }
    qsort(extents, n, sizeof *extents, compare_extents);
    extents[n++] = (struct extent){file_bytes, file_bytes};
    uint32_t crc = 0;
    for (size_t i = 0; i < n; i++) {
        if (extents[i].first < end)
            FAIL(ERR_FORMAT, "%s: two tables overlap at byte %llu", shard->path,
                 (unsigned long long)extents[i].first);
        TRY(crc_of_range(&crc, shard, end, extents[i].first));
        end = extents[i].end;
    }
    *crc_out = crc;
out:
    return status;
}

enum status shard_open_known(struct shard *shard_out, const char *path, const struct shard *known,
                             uint32_t frame_crc)
{
    enum status status = OK;
    struct shard shard = *known;
    struct stat about;
    uint32_t crc;
    shard.path = text_copy(path);
    shard.fd = -1;
    TRY(file_open(&shard.fd, &about, path));
    TRY(shard_frame_crc(&shard, &crc));
    if (crc != frame_crc)
        FAIL(ERR_FORMAT,
             "%s: frame_crc32c is %08x, the index says %08x: the file is damaged or of another "
             "build; copy the corpus again",
             path, crc, frame_crc);
    *shard_out = shard;
out:
    if (status != OK) shard_close(&shard);
    return status;
}

/* Rows FIRST .. FIRST+COUNT-1 of a table in new memory; NULL when there are none. */
static enum status rows_read(const struct shard *shard, enum shard_table table, uint64_t first,
                             uint64_t count, void **rows_out)
{
    enum status status = OK;
    void *rows = NULL;
    const size_t row_bytes = shard_table_row_bytes(table);
    if (count == 0) return OK;
    if (count > shard->count[table] || first > shard->count[table] - count)
        FAIL(ERR_FORMAT, "its rows %llu .. %llu of /%s are beyond that table's %llu",
             (unsigned long long)first, (unsigned long long)(first + count - 1),
             shard_table_name(table), (unsigned long long)shard->count[table]);
    rows = malloc(count * row_bytes);
    if (rows == NULL)
        FAIL(ERR_MEMORY, "no memory for %llu rows of /%s", (unsigned long long)count,
             shard_table_name(table));
    TRY(file_pread(shard->fd, rows, count * row_bytes, shard->offset[table] + first * row_bytes,
                   shard->path));
    *rows_out = rows;
    rows = NULL;
out:
    free(rows);
    return status;
}

/* One record's rows on their way into a struct record. The writer lays strings, runs, attributes
 * and turns in one known order, so each must begin where the one before ended. */
struct parse {
    struct row_record row;
    struct row_more more;
    void *tables[N_SHARD_TABLES]; /* this record's rows of each table */
    uint64_t string_at, run_at, attribute_at, turn_at;
    uint64_t choice_at, reference_at; /* from 0: rows of this record */
    struct record *record;
};

static enum status parse_string(struct parse *parse, uint64_t offset, uint64_t size,
                                const char *field, char **string_out)
{
    enum status status = OK;
    const uint64_t end = parse->row.string_first + parse->row.string_count;
    if (offset != parse->string_at || size > RECORD_MAX_STRING_BYTES || size > end - offset)
        FAIL(ERR_FORMAT,
             "%s: string of %llu bytes at %llu of /strings; expected it at %llu, "
             "ending by %llu",
             field, (unsigned long long)size, (unsigned long long)offset,
             (unsigned long long)parse->string_at, (unsigned long long)end);
    const char *bytes = (const char *)parse->tables[TABLE_STRINGS];
    const uint64_t within = offset - parse->row.string_first;
    if (size > 0 && memchr(bytes + within, '\0', size) != NULL)
        FAIL(ERR_FORMAT, "%s: string with a NUL inside", field);
    char *string = malloc(size + 1);
    if (string == NULL) FAIL(ERR_MEMORY, "%s: no memory", field);
    if (size > 0) memcpy(string, bytes + within, size);
    string[size] = '\0';
    parse->string_at += size;
    *string_out = string;
out:
    return status;
}

/* A range of another table that must continue at *at and stay inside this record's rows. */
static enum status parse_range(uint64_t *at, uint64_t end, uint64_t first, uint64_t count,
                               const char *field)
{
    if (first != *at || count > end - *at)
        return status_fail(ERR_FORMAT,
                           "%s: rows %llu + %llu; expected them at %llu, ending by %llu", field,
                           (unsigned long long)first, (unsigned long long)count,
                           (unsigned long long)*at, (unsigned long long)end);
    *at += count;
    return OK;
}

/* Zeroed items; the counter they belong to is set before they are filled, so that a failure midway
 * releases what is there. */
static enum status items_new(uint64_t count, size_t size, void *items_out, int64_t *count_out)
{
    if (count == 0) return OK;
    void *items = calloc(count, size);
    if (items == NULL)
        return status_fail(ERR_MEMORY, "no memory for %llu items", (unsigned long long)count);
    memcpy(items_out, &items, sizeof items);
    *count_out = (int64_t)count;
    return OK;
}

static enum status parse_regions(struct parse *parse)
{
    enum status status = OK;
    struct record *record = parse->record;
    const struct row_region *rows = parse->tables[TABLE_REGIONS];
    const uint32_t *runs = parse->tables[TABLE_RUNS];
    const uint64_t end = parse->row.run_first + parse->row.run_count;
    TRY(items_new(parse->row.region_count, sizeof *record->regions, &record->regions,
                  &record->n_regions));
    for (int64_t i = 0; i < record->n_regions; i++) {
        const struct row_region *row = &rows[i];
        struct record_region *region = &record->regions[i];
        region->box = (struct box){row->x1, row->y1, row->x2, row->y2};
        TRY(parse_range(&parse->run_at, end, row->run_first, row->run_count, "region's runs"));
        if (row->run_count == 0) continue;
        region->mask.runs = malloc(row->run_count * sizeof *region->mask.runs);
        if (region->mask.runs == NULL) FAIL(ERR_MEMORY, "no memory for a mask");
        memcpy(region->mask.runs, runs + (row->run_first - parse->row.run_first),
               row->run_count * sizeof *region->mask.runs);
        region->mask.n_runs = (int64_t)row->run_count;
        region->mask.height = record->height;
        region->mask.width = record->width;
    }
out:
    return status;
}

static enum status parse_attributes(struct parse *parse, const struct row_object *row,
                                    struct record_object *object)
{
    enum status status = OK;
    const struct row_attribute *rows = parse->tables[TABLE_ATTRIBUTES];
    const uint64_t end = parse->row.attribute_first + parse->row.attribute_count;
    TRY(parse_range(&parse->attribute_at, end, row->attribute_first, row->attribute_count,
                    "object's attributes"));
    TRY(items_new(row->attribute_count, sizeof *object->attributes, &object->attributes,
                  &object->n_attributes));
    for (uint64_t i = 0; i < row->attribute_count; i++) {
        const struct row_attribute *attribute =
            &rows[row->attribute_first - parse->row.attribute_first + i];
        TRY(parse_string(parse, attribute->text_offset, attribute->text_size, "attribute",
                         &object->attributes[i]));
    }
out:
    return status;
}

static enum status parse_objects(struct parse *parse)
{
    enum status status = OK;
    struct record *record = parse->record;
    const struct row_object *rows = parse->tables[TABLE_OBJECTS];
    TRY(items_new(parse->row.object_count, sizeof *record->objects, &record->objects,
                  &record->n_objects));
    for (int64_t i = 0; i < record->n_objects; i++) {
        struct record_object *object = &record->objects[i];
        TRY(parse_string(parse, rows[i].name_offset, rows[i].name_size, "object's name",
                         &object->name));
        object->region = (int64_t)rows[i].region;
        TRY(parse_attributes(parse, &rows[i], object));
    }
out:
    return status;
}

static enum status parse_relations(struct parse *parse)
{
    enum status status = OK;
    struct record *record = parse->record;
    const struct row_relation *rows = parse->tables[TABLE_RELATIONS];
    TRY(items_new(parse->row.relation_count, sizeof *record->relations, &record->relations,
                  &record->n_relations));
    for (int64_t i = 0; i < record->n_relations; i++) {
        struct record_relation *relation = &record->relations[i];
        relation->subject = rows[i].subject;
        relation->object = rows[i].object;
        TRY(parse_string(parse, rows[i].predicate_offset, rows[i].predicate_size, "predicate",
                         &relation->predicate));
        TRY(parse_string(parse, rows[i].kind_offset, rows[i].kind_size, "relation's kind",
                         &relation->kind));
    }
out:
    return status;
}

static enum status parse_turns(struct parse *parse, const struct row_text *row,
                               struct record_text *text)
{
    enum status status = OK;
    const struct row_turn *rows = parse->tables[TABLE_TURNS];
    const uint64_t end = parse->row.turn_first + parse->row.turn_count;
    TRY(parse_range(&parse->turn_at, end, row->turn_first, row->turn_count, "text's turns"));
    TRY(items_new(row->turn_count, sizeof *text->turns, &text->turns, &text->n_turns));
    for (uint64_t i = 0; i < row->turn_count; i++) {
        const struct row_turn *turn = &rows[row->turn_first - parse->row.turn_first + i];
        TRY(parse_string(parse, turn->question_offset, turn->question_size, "question",
                         &text->turns[i].question));
        TRY(parse_string(parse, turn->answer_offset, turn->answer_size, "answer",
                         &text->turns[i].answer));
    }
out:
    return status;
}

static enum status parse_texts(struct parse *parse)
{
    enum status status = OK;
    struct record *record = parse->record;
    const struct row_text *rows = parse->tables[TABLE_TEXTS];
    TRY(items_new(parse->row.text_count, sizeof *record->texts, &record->texts, &record->n_texts));
    for (int64_t i = 0; i < record->n_texts; i++) {
        struct record_text *text = &record->texts[i];
        TRY(parse_string(parse, rows[i].task_offset, rows[i].task_size, "task", &text->task));
        text->region = rows[i].region;
        TRY(parse_turns(parse, &rows[i], text));
    }
out:
    return status;
}

/* Rows that belong to turn `number`: as many as follow the ones before it. */
static enum status parse_choices(struct parse *parse, uint32_t number, struct record_turn *turn)
{
    enum status status = OK;
    const struct row_choice *rows = parse->tables[TABLE_CHOICES];
    const uint64_t first = parse->choice_at, end = parse->more.choice_count;
    int64_t n_right = 0;
    while (parse->choice_at < end && rows[parse->choice_at].turn == number) parse->choice_at++;
    TRY(items_new(parse->choice_at - first, sizeof *turn->choices, &turn->choices,
                  &turn->n_choices));
    for (int64_t i = 0; i < turn->n_choices; i++) {
        const struct row_choice *row = &rows[first + (uint64_t)i];
        TRY(parse_string(parse, row->text_offset, row->text_size, "choice", &turn->choices[i]));
        if (row->is_right > 1 || row->reserved != 0)
            FAIL(ERR_FORMAT, "choice: is_right is %u, reserved %u", row->is_right, row->reserved);
        n_right += row->is_right;
        if (row->is_right) turn->choice = i;
    }
    if (turn->n_choices > 0 && n_right != 1)
        FAIL(ERR_FORMAT, "a turn has %lld right choices", (long long)n_right);
out:
    return status;
}

static enum status parse_references(struct parse *parse, uint32_t number, struct record_turn *turn)
{
    enum status status = OK;
    const struct row_reference *rows = parse->tables[TABLE_REFERENCES];
    const uint64_t first = parse->reference_at, end = parse->more.reference_count;
    while (parse->reference_at < end && rows[parse->reference_at].turn == number)
        parse->reference_at++;
    TRY(items_new(parse->reference_at - first, sizeof *turn->objects, &turn->objects,
                  &turn->n_objects));
    for (int64_t i = 0; i < turn->n_objects; i++)
        turn->objects[i] = rows[first + (uint64_t)i].object;
out:
    return status;
}

static enum status parse_origins(struct parse *parse)
{
    enum status status = OK;
    struct record *record = parse->record;
    const struct row_origin *rows = parse->tables[TABLE_ORIGINS];
    for (uint64_t i = 0; i < parse->more.origin_count; i++) {
        if (rows[i].text >= (uint64_t)record->n_texts ||
            (i > 0 && rows[i].text <= rows[i - 1].text))
            FAIL(ERR_FORMAT, "origin %llu is of text %u; there are %lld in order",
                 (unsigned long long)i, rows[i].text, (long long)record->n_texts);
        TRY(parse_string(parse, rows[i].text_offset, rows[i].text_size, "origin",
                         &record->texts[rows[i].text].origin));
    }
out:
    return status;
}

static enum status parse_more(struct parse *parse)
{
    enum status status = OK;
    struct record *record = parse->record;
    const struct row_point *points = parse->tables[TABLE_POINTS];
    uint32_t number = 0;
    TRY(items_new(parse->more.point_count, sizeof *record->points, &record->points,
                  &record->n_points));
    for (int64_t i = 0; i < record->n_points; i++)
        record->points[i] = (struct record_point){points[i].x, points[i].y};
    for (int64_t i = 0; i < record->n_texts; i++) {
        for (int64_t j = 0; j < record->texts[i].n_turns; j++) {
            TRY(parse_choices(parse, number, &record->texts[i].turns[j]));
            TRY(parse_references(parse, number++, &record->texts[i].turns[j]));
        }
    }
    if (parse->choice_at != parse->more.choice_count ||
        parse->reference_at != parse->more.reference_count)
        FAIL(ERR_FORMAT, "choices or references of turns that it does not have, or out of order");
    TRY(parse_origins(parse));
out:
    return status;
}

/* The record's row of /more, if it has one. */
static enum status more_read(struct parse *parse, const struct shard *shard)
{
    enum status status = OK;
    void *row = NULL;
    if (parse->row.more == 0) return OK;
    if (shard->version == 1) FAIL(ERR_FORMAT, "field 'reserved' is %u, not 0", parse->row.more);
    TRY(rows_read(shard, TABLE_MORE, parse->row.more - 1, 1, &row));
    memcpy(&parse->more, row, sizeof parse->more);
out:
    free(row);
    return status;
}

/* The bytes of a picture that lies in another file. */
static enum status picture_read(struct parse *parse, const struct shard *shard)
{
    enum status status = OK;
    void *rows = NULL;
    TRY(rows_read(shard, TABLE_PICTURES, parse->more.picture - 1, 1, &rows));
    const struct row_picture *picture = rows;
    if (picture->size != parse->row.image_size || picture->size > RECORD_MAX_IMAGE_BYTES)
        FAIL(ERR_FORMAT, "its picture has %llu bytes, /pictures says %llu",
             (unsigned long long)parse->row.image_size, (unsigned long long)picture->size);
    if (picture->corpus >= (uint64_t)shard->n_families ||
        picture->shard >= (uint64_t)shard->families[picture->corpus].n ||
        shard->families[picture->corpus].shards[picture->shard].path == NULL)
        FAIL(ERR_FORMAT, "its picture is in shard %u of corpus %u of its list, which is not open",
             picture->shard, picture->corpus);
    const struct shard *home = &shard->families[picture->corpus].shards[picture->shard];
    TRY_WHERE(
        rows_read(home, TABLE_IMAGES, picture->offset, picture->size, &parse->tables[TABLE_IMAGES]),
        "picture in %s", home->path);
out:
    free(rows);
    return status;
}

/* The record's rows of every table, each range checked. */
static enum status parse_load(struct parse *parse, const struct shard *shard)
{
    enum status status = OK;
    const struct row_record *row = &parse->row;
    TRY(more_read(parse, shard));
    const struct row_more *more = &parse->more;
    const struct {
        enum shard_table table;
        uint64_t first, count, limit;
    } ranges[] = {
        {TABLE_REGIONS, row->region_first, row->region_count, RECORD_MAX_ITEMS},
        {TABLE_RUNS, row->run_first, row->run_count, UINT32_MAX},
        {TABLE_OBJECTS, row->object_first, row->object_count, RECORD_MAX_ITEMS},
        {TABLE_ATTRIBUTES, row->attribute_first, row->attribute_count, RECORD_MAX_ITEMS},
        {TABLE_RELATIONS, row->relation_first, row->relation_count, RECORD_MAX_ITEMS},
        {TABLE_TEXTS, row->text_first, row->text_count, RECORD_MAX_ITEMS},
        {TABLE_TURNS, row->turn_first, row->turn_count, RECORD_MAX_ITEMS},
        {TABLE_STRINGS, row->string_first, row->string_count, UINT32_MAX},
        {TABLE_IMAGES, row->image_offset, more->picture == 0 ? row->image_size : 0,
         RECORD_MAX_IMAGE_BYTES},
        {TABLE_POINTS, more->point_first, more->point_count, RECORD_MAX_ITEMS},
        {TABLE_CHOICES, more->choice_first, more->choice_count, RECORD_MAX_ITEMS},
        {TABLE_REFERENCES, more->reference_first, more->reference_count, RECORD_MAX_ITEMS},
        {TABLE_ORIGINS, more->origin_first, more->origin_count, RECORD_MAX_ITEMS},
    };
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (ranges[i].count > ranges[i].limit)
            FAIL(ERR_LIMIT, "%llu rows of /%s; the limit is %llu",
                 (unsigned long long)ranges[i].count, shard_table_name(ranges[i].table),
                 (unsigned long long)ranges[i].limit);
        TRY(rows_read(shard, ranges[i].table, ranges[i].first, ranges[i].count,
                      &parse->tables[ranges[i].table]));
    }
    if (more->picture != 0) TRY(picture_read(parse, shard));
    parse->string_at = row->string_first;
    parse->run_at = row->run_first;
    parse->attribute_at = row->attribute_first;
    parse->turn_at = row->turn_first;
out:
    return status;
}

static enum status parse_record(struct parse *parse)
{
    enum status status = OK;
    const struct row_record *row = &parse->row;
    struct record *record = parse->record;
    record->height = row->height;
    record->width = row->width;
    record->image = parse->tables[TABLE_IMAGES];
    record->image_size = row->image_size;
    parse->tables[TABLE_IMAGES] = NULL;
    TRY(parse_string(parse, row->id_offset, row->id_size, "id", &record->id));
    TRY(parse_string(parse, row->source_offset, row->source_size, "source", &record->source));
    TRY(parse_regions(parse));
    TRY(parse_objects(parse));
    TRY(parse_relations(parse));
    TRY(parse_texts(parse));
    if (row->more != 0) TRY(parse_more(parse));
    const uint32_t crc = record_checksum(record);
    if (crc != row->crc32c)
        FAIL(ERR_FORMAT, "crc32c is %08x but its contents give %08x: damaged; copy the shard again",
             row->crc32c, crc);
    TRY(record_check(record));
out:
    return status;
}

static enum status row_read(const struct shard *shard, int64_t record, struct row_record *row_out)
{
    enum status status = OK;
    if (record < 0 || (uint64_t)record >= shard->count[TABLE_RECORDS])
        FAIL(ERR_ARGUMENT, "there is no such record; it holds %llu",
             (unsigned long long)shard->count[TABLE_RECORDS]);
    TRY(file_pread(shard->fd, row_out, sizeof *row_out,
                   shard->offset[TABLE_RECORDS] + (uint64_t)record * sizeof *row_out, shard->path));
out:
    return status;
}

enum status shard_read(const struct shard *shard, int64_t record, struct record *record_out)
{
    enum status status = OK;
    struct record made = {0};
    struct parse parse = {.record = &made};
    TRY(row_read(shard, record, &parse.row));
    TRY(parse_load(&parse, shard));
    TRY(parse_record(&parse));
    *record_out = made;
    made = (struct record){0};
out:
    if (status != OK) status_add_context("%s: record %lld", shard->path, (long long)record);
    for (int table = 0; table < N_SHARD_TABLES; table++) free(parse.tables[table]);
    record_release(&made);
    return status;
}

enum status shard_read_id(const struct shard *shard, int64_t record, char **id_out)
{
    enum status status = OK;
    struct parse parse = {0};
    TRY(row_read(shard, record, &parse.row));
    parse.row.string_first = parse.string_at = parse.row.id_offset;
    parse.row.string_count = parse.row.id_size;
    TRY(rows_read(shard, TABLE_STRINGS, parse.row.string_first, parse.row.string_count,
                  &parse.tables[TABLE_STRINGS]));
    TRY(parse_string(&parse, parse.row.id_offset, parse.row.id_size, "id", id_out));
out:
    if (status != OK) status_add_context("%s: record %lld", shard->path, (long long)record);
    free(parse.tables[TABLE_STRINGS]);
    return status;
}

enum status shard_read_pictures(const struct shard *shard, struct row_picture **rows_out)
{
    *rows_out = NULL;
    return rows_read(shard, TABLE_PICTURES, 0, shard->count[TABLE_PICTURES], (void **)rows_out);
}

enum status shard_check_records(const struct shard *shard)
{
    enum status status = OK;
    struct row_record *rows = NULL;
    const uint64_t n = shard->count[TABLE_RECORDS];
    TRY_WHERE(rows_read(shard, TABLE_RECORDS, 0, n, (void **)&rows), "%s", shard->path);
    uint32_t crc = 0;
    for (uint64_t i = 0; i < n; i++) crc = crc32c(crc, &rows[i].crc32c, sizeof rows[i].crc32c);
    if (crc != shard->records_crc)
        FAIL(ERR_FORMAT,
             "%s: records_crc32c is %08x but the checksums of its %llu records give %08x: damaged; "
             "copy the shard again",
             shard->path, shard->records_crc, (unsigned long long)n, crc);
out:
    free(rows);
    return status;
}
