/* Makes one shard file. HDF5 lays the file out (contiguous tables, no times, fixed format) in
 * memory; what goes to disk is written by us, so that a full disk is one sentence of the system's.
 */
#include <hdf5.h>
#include <stdlib.h>
#include <string.h>

#include "base/assertion.h"
#include "base/crc32c.h"
#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/picture_index.h"
#include "corpus/shard_file.h"

#define SHARD_MAX_BYTES (16ull << 30)

struct table_buffer {
    uint8_t *bytes;
    size_t size, capacity;
};

struct shard_writer {
    char *path;
    char *corpus;
    int64_t number;
    uint32_t records_crc;
    struct table_buffer tables[N_SHARD_TABLES];
    const struct picture_index *known; /* of other files */
    size_t *slots; /* hash table of rows of /pictures + 1; 0 is free; a power of two, at most half
                      full */
    size_t n_slots;
};

enum status shard_writer_create(struct shard_writer **writer_out, const char *path,
                                const char *corpus, int64_t number,
                                const struct picture_index *known)
{
    enum status status = OK;
    if (corpus[0] == '\0' || strlen(corpus) > SHARD_MAX_NAME_BYTES)
        FAIL(ERR_ARGUMENT, "cannot name a corpus '%s': a name has 1 to %d bytes", corpus,
             SHARD_MAX_NAME_BYTES);
    struct shard_writer *writer = memory_new(1, sizeof *writer);
    writer->path = text_copy(path);
    writer->corpus = text_copy(corpus);
    writer->number = number;
    writer->known = known;
    *writer_out = writer;
out:
    return status;
}

void shard_writer_destroy(struct shard_writer *writer)
{
    if (writer == NULL) return;
    for (int table = 0; table < N_SHARD_TABLES; table++) free(writer->tables[table].bytes);
    free(writer->slots);
    free(writer->corpus);
    free(writer->path);
    free(writer);
}

uint64_t shard_writer_bytes(const struct shard_writer *writer)
{
    uint64_t bytes = 0;
    for (int table = 0; table < N_SHARD_TABLES; table++) bytes += writer->tables[table].size;
    return bytes;
}

static uint64_t table_rows(const struct shard_writer *writer, enum shard_table table)
{
    return writer->tables[table].size / shard_table_row_bytes(table);
}

static enum status table_append(struct shard_writer *writer, enum shard_table which,
                                const void *bytes, size_t size)
{
    enum status status = OK;
    struct table_buffer *table = &writer->tables[which];
    if (size == 0) return OK;
    if (size > SHARD_MAX_BYTES - shard_writer_bytes(writer))
        FAIL(ERR_LIMIT, "%s passes %llu bytes; put fewer records into a shard", writer->path,
             SHARD_MAX_BYTES);
    if (size > table->capacity - table->size) {
        size_t capacity = table->capacity == 0 ? 4096 : table->capacity;
        while (capacity - table->size < size) capacity *= 2;
        uint8_t *grown = realloc(table->bytes, capacity);
        if (grown == NULL)
            FAIL(ERR_MEMORY,
                 "no memory for the %zu bytes of table /%s of %s; put fewer records into a shard",
                 capacity, shard_table_name(which), writer->path);
        table->bytes = grown;
        table->capacity = capacity;
    }
    memcpy(table->bytes + table->size, bytes, size);
    table->size += size;
out:
    return status;
}

static enum status add_string(struct shard_writer *writer, const char *string, uint64_t *offset_out,
                              uint32_t *size_out)
{
    const size_t size = strlen(string);
    *offset_out = writer->tables[TABLE_STRINGS].size;
    *size_out = (uint32_t)size; /* record_check bounds it */
    return table_append(writer, TABLE_STRINGS, string, size);
}

/* The slot of the picture with that hash, or the free one where it goes. */
static size_t slot_of(const struct shard_writer *writer, const struct content_hash *hash)
{
    const struct row_picture *rows =
        (const struct row_picture *)writer->tables[TABLE_PICTURES].bytes;
    size_t slot = hash->words[0] & (writer->n_slots - 1);
    while (writer->slots[slot] != 0 &&
           content_hash_compare(&rows[writer->slots[slot] - 1].hash, hash) != 0)
        slot = (slot + 1) & (writer->n_slots - 1);
    return slot;
}

static void slots_grow(struct shard_writer *writer)
{
    const struct row_picture *rows =
        (const struct row_picture *)writer->tables[TABLE_PICTURES].bytes;
    const size_t n = table_rows(writer, TABLE_PICTURES);
    if (writer->n_slots >= 2 * (n + 1)) return;
    free(writer->slots);
    writer->n_slots = writer->n_slots == 0 ? 64 : 2 * writer->n_slots;
    writer->slots = memory_new(writer->n_slots, sizeof *writer->slots);
    for (size_t i = 0; i < n; i++) writer->slots[slot_of(writer, &rows[i].hash)] = i + 1;
}

/* A picture that the shard does not know yet: of another file, or stored here. */
static enum status new_picture(struct shard_writer *writer, const struct record *record,
                               const struct content_hash *hash)
{
    enum status status = OK;
    struct row_picture row = {.hash = *hash,
                              .offset = writer->tables[TABLE_IMAGES].size,
                              .size = record->image_size,
                              .shard = (uint32_t)writer->number};
    const struct row_picture *elsewhere =
        writer->known == NULL ? NULL : picture_index_find(writer->known, hash, writer->number);
    if (elsewhere != NULL)
        row = *elsewhere;
    else
        TRY(table_append(writer, TABLE_IMAGES, record->image, record->image_size));
    TRY(table_append(writer, TABLE_PICTURES, &row, sizeof row));
out:
    return status;
}

/* *picture_out: its row of /pictures, counted from 1, when its bytes are in another file; or 0. */
static enum status add_picture(struct shard_writer *writer, const struct record *record,
                               struct row_record *row, uint64_t *picture_out)
{
    enum status status = OK;
    *picture_out = 0;
    row->image_size = record->image_size;
    if (record->image_size == 0) return OK;
    slots_grow(writer);
    const struct content_hash hash = content_hash(record->image, record->image_size);
    const size_t slot = slot_of(writer, &hash);
    if (writer->slots[slot] == 0) {
        TRY(new_picture(writer, record, &hash));
        writer->slots[slot] = table_rows(writer, TABLE_PICTURES);
    }
    const struct row_picture *picture =
        (const struct row_picture *)writer->tables[TABLE_PICTURES].bytes + writer->slots[slot] - 1;
    if (picture->corpus != 0 || picture->shard != (uint32_t)writer->number)
        *picture_out = writer->slots[slot];
    else
        row->image_offset = picture->offset;
out:
    return status;
}

static enum status add_regions(struct shard_writer *writer, const struct record *record)
{
    enum status status = OK;
    for (int64_t i = 0; i < record->n_regions; i++) {
        const struct record_region *region = &record->regions[i];
        const struct row_region row = {.x1 = region->box.x1,
                                       .y1 = region->box.y1,
                                       .x2 = region->box.x2,
                                       .y2 = region->box.y2,
                                       .run_first = table_rows(writer, TABLE_RUNS),
                                       .run_count = (uint64_t)region->mask.n_runs};
        TRY(table_append(writer, TABLE_REGIONS, &row, sizeof row));
        TRY(table_append(writer, TABLE_RUNS, region->mask.runs,
                         (size_t)region->mask.n_runs * sizeof(uint32_t)));
    }
out:
    return status;
}

static enum status add_objects(struct shard_writer *writer, const struct record *record)
{
    enum status status = OK;
    for (int64_t i = 0; i < record->n_objects; i++) {
        const struct record_object *object = &record->objects[i];
        struct row_object row = {.attribute_first = table_rows(writer, TABLE_ATTRIBUTES),
                                 .attribute_count = (uint32_t)object->n_attributes,
                                 .region = (uint64_t)object->region};
        TRY(add_string(writer, object->name, &row.name_offset, &row.name_size));
        for (int64_t j = 0; j < object->n_attributes; j++) {
            struct row_attribute attribute = {0};
            uint32_t size;
            TRY(add_string(writer, object->attributes[j], &attribute.text_offset, &size));
            attribute.text_size = size;
            TRY(table_append(writer, TABLE_ATTRIBUTES, &attribute, sizeof attribute));
        }
        TRY(table_append(writer, TABLE_OBJECTS, &row, sizeof row));
    }
out:
    return status;
}

static enum status add_relations(struct shard_writer *writer, const struct record *record)
{
    enum status status = OK;
    for (int64_t i = 0; i < record->n_relations; i++) {
        const struct record_relation *relation = &record->relations[i];
        struct row_relation row = {.subject = (uint32_t)relation->subject,
                                   .object = (uint32_t)relation->object};
        TRY(add_string(writer, relation->predicate, &row.predicate_offset, &row.predicate_size));
        TRY(add_string(writer, relation->kind, &row.kind_offset, &row.kind_size));
        TRY(table_append(writer, TABLE_RELATIONS, &row, sizeof row));
    }
out:
    return status;
}

static enum status add_texts(struct shard_writer *writer, const struct record *record)
{
    enum status status = OK;
    for (int64_t i = 0; i < record->n_texts; i++) {
        const struct record_text *text = &record->texts[i];
        struct row_text row = {.turn_first = table_rows(writer, TABLE_TURNS),
                               .turn_count = (uint32_t)text->n_turns,
                               .region = text->region};
        TRY(add_string(writer, text->task, &row.task_offset, &row.task_size));
        for (int64_t j = 0; j < text->n_turns; j++) {
            struct row_turn turn = {0};
            TRY(add_string(writer, text->turns[j].question, &turn.question_offset,
                           &turn.question_size));
            TRY(add_string(writer, text->turns[j].answer, &turn.answer_offset, &turn.answer_size));
            TRY(table_append(writer, TABLE_TURNS, &turn, sizeof turn));
        }
        TRY(table_append(writer, TABLE_TEXTS, &row, sizeof row));
    }
out:
    return status;
}

static enum status add_turn_extras(struct shard_writer *writer, const struct record_turn *turn,
                                   uint32_t number)
{
    enum status status = OK;
    for (int64_t i = 0; i < turn->n_choices; i++) {
        struct row_choice choice = {.turn = number, .is_right = i == turn->choice};
        TRY(add_string(writer, turn->choices[i], &choice.text_offset, &choice.text_size));
        TRY(table_append(writer, TABLE_CHOICES, &choice, sizeof choice));
    }
    for (int64_t i = 0; i < turn->n_objects; i++) {
        const struct row_reference reference = {number, (uint32_t)turn->objects[i]};
        TRY(table_append(writer, TABLE_REFERENCES, &reference, sizeof reference));
    }
out:
    return status;
}

static enum status add_text_extras(struct shard_writer *writer, const struct record *record)
{
    enum status status = OK;
    uint32_t turn = 0;
    for (int64_t i = 0; i < record->n_texts; i++)
        for (int64_t j = 0; j < record->texts[i].n_turns; j++)
            TRY(add_turn_extras(writer, &record->texts[i].turns[j], turn++));
    for (int64_t i = 0; i < record->n_texts; i++) {
        const char *text = record->texts[i].origin;
        struct row_origin origin = {.text = (uint32_t)i};
        if (text == NULL || text[0] == '\0') continue;
        TRY(add_string(writer, text, &origin.text_offset, &origin.text_size));
        TRY(table_append(writer, TABLE_ORIGINS, &origin, sizeof origin));
    }
out:
    return status;
}

/* *number_out: the new row of /more, counted from 1; 0 if the record needs none. */
static enum status add_more(struct shard_writer *writer, const struct record *record,
                            uint64_t picture, uint32_t *number_out)
{
    enum status status = OK;
    const struct record_extras extras = record_count_extras(record);
    struct row_more row = {.point_first = table_rows(writer, TABLE_POINTS),
                           .point_count = (uint64_t)record->n_points,
                           .choice_first = table_rows(writer, TABLE_CHOICES),
                           .choice_count = (uint64_t)extras.n_choices,
                           .reference_first = table_rows(writer, TABLE_REFERENCES),
                           .reference_count = (uint64_t)extras.n_references,
                           .origin_first = table_rows(writer, TABLE_ORIGINS),
                           .origin_count = (uint64_t)extras.n_origins,
                           .picture = picture};
    *number_out = 0;
    if (row.point_count + row.choice_count + row.reference_count + row.origin_count == 0 &&
        picture == 0)
        return OK;
    for (int64_t i = 0; i < record->n_points; i++) {
        const struct row_point point = {record->points[i].x, record->points[i].y};
        TRY(table_append(writer, TABLE_POINTS, &point, sizeof point));
    }
    TRY(add_text_extras(writer, record));
    TRY(table_append(writer, TABLE_MORE, &row, sizeof row));
    *number_out = (uint32_t)table_rows(writer, TABLE_MORE);
out:
    return status;
}

enum status shard_writer_add(struct shard_writer *writer, const struct record *record)
{
    enum status status = OK;
    TRY(record_check(record));
    struct row_record row = {.height = (uint32_t)record->height,
                             .width = (uint32_t)record->width,
                             .crc32c = record_checksum(record),
                             .region_first = table_rows(writer, TABLE_REGIONS),
                             .run_first = table_rows(writer, TABLE_RUNS),
                             .object_first = table_rows(writer, TABLE_OBJECTS),
                             .attribute_first = table_rows(writer, TABLE_ATTRIBUTES),
                             .relation_first = table_rows(writer, TABLE_RELATIONS),
                             .text_first = table_rows(writer, TABLE_TEXTS),
                             .turn_first = table_rows(writer, TABLE_TURNS),
                             .string_first = table_rows(writer, TABLE_STRINGS)};
    uint64_t picture;
    TRY(add_picture(writer, record, &row, &picture));
    TRY(add_string(writer, record->id, &row.id_offset, &row.id_size));
    TRY(add_string(writer, record->source, &row.source_offset, &row.source_size));
    TRY(add_regions(writer, record));
    TRY(add_objects(writer, record));
    TRY(add_relations(writer, record));
    TRY(add_texts(writer, record));
    TRY(add_more(writer, record, picture, &row.more));
    row.region_count = table_rows(writer, TABLE_REGIONS) - row.region_first;
    row.run_count = table_rows(writer, TABLE_RUNS) - row.run_first;
    row.object_count = table_rows(writer, TABLE_OBJECTS) - row.object_first;
    row.attribute_count = table_rows(writer, TABLE_ATTRIBUTES) - row.attribute_first;
    row.relation_count = table_rows(writer, TABLE_RELATIONS) - row.relation_first;
    row.text_count = table_rows(writer, TABLE_TEXTS) - row.text_first;
    row.turn_count = table_rows(writer, TABLE_TURNS) - row.turn_first;
    row.string_count = table_rows(writer, TABLE_STRINGS) - row.string_first;
    TRY(table_append(writer, TABLE_RECORDS, &row, sizeof row));
    writer->records_crc = crc32c(writer->records_crc, &row.crc32c, sizeof row.crc32c);
out:
    return status;
}

static bool attribute_write(hid_t file, const char *name, hid_t type, const void *value)
{
    const hid_t space = H5Screate(H5S_SCALAR);
    const hid_t attribute = H5Acreate2(file, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool written = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    if (attribute >= 0 && H5Aclose(attribute) < 0) return false;
    return H5Sclose(space) >= 0 && written;
}

static bool attribute_write_text(hid_t file, const char *name, const char *value)
{
    const hid_t type = H5Tcopy(H5T_C_S1);
    const bool made = H5Tset_size(type, strlen(value)) >= 0 &&
                      H5Tset_strpad(type, H5T_STR_NULLPAD) >= 0 &&
                      H5Tset_cset(type, H5T_CSET_UTF8) >= 0;
    const bool written = made && attribute_write(file, name, type, value);
    return H5Tclose(type) >= 0 && written;
}

static bool attributes_write(hid_t file, const struct shard_writer *writer)
{
    const uint32_t version = SHARD_SCHEMA_VERSION;
    const uint64_t number = (uint64_t)writer->number;
    return attribute_write_text(file, "format", SHARD_FORMAT) &&
           attribute_write(file, "schema_version", H5T_STD_U32LE, &version) &&
           attribute_write_text(file, "corpus", writer->corpus) &&
           attribute_write(file, "shard", H5T_STD_U64LE, &number) &&
           attribute_write(file, "records_crc32c", H5T_STD_U32LE, &writer->records_crc);
}

/* One contiguous table, its space taken now; `offset_out` is where its bytes go. */
static bool table_create(hid_t file, enum shard_table table, uint64_t rows, uint64_t *offset_out)
{
    const hsize_t dims[1] = {rows};
    const hid_t type = shard_table_type(table, SHARD_SCHEMA_VERSION);
    const hid_t space = H5Screate_simple(1, dims, NULL);
    const hid_t layout = H5Pcreate(H5P_DATASET_CREATE);
    hid_t set = -1;
    if (H5Pset_layout(layout, H5D_CONTIGUOUS) >= 0 &&
        H5Pset_alloc_time(layout, H5D_ALLOC_TIME_EARLY) >= 0 &&
        H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER) >= 0 &&
        H5Pset_obj_track_times(layout, false) >= 0)
        set = H5Dcreate2(file, shard_table_name(table), type, space, H5P_DEFAULT, layout,
                         H5P_DEFAULT);
    *offset_out = set < 0 || rows == 0 ? 0 : H5Dget_offset(set);
    const bool made = set >= 0 && *offset_out != HADDR_UNDEF;
    const bool closed = set < 0 || H5Dclose(set) >= 0;
    H5Pclose(layout);
    H5Sclose(space);
    H5Tclose(type);
    return made && closed;
}

/* Sixteen links and five attributes stay inside the root's own header, which has a checksum. */
static hid_t file_creation(void)
{
    const hid_t creation = H5Pcreate(H5P_FILE_CREATE);
    if (creation < 0) return creation;
    if (H5Pset_link_phase_change(creation, 2 * N_SHARD_TABLES, N_SHARD_TABLES) < 0 ||
        H5Pset_obj_track_times(creation, false) < 0) {
        H5Pclose(creation);
        return -1;
    }
    return creation;
}

/* The file as HDF5 lays it out, zeros where the rows go, in memory that lives as long as `file`.
 * Not on disk: a write of HDF5's that fails there leaves the file open inside the library, which
 * then crashes at exit. */
struct layout {
    hid_t access, creation, file;
    const uint8_t *bytes;
    uint64_t size;
    uint64_t offsets[N_SHARD_TABLES];
};

static void layout_release(struct layout *layout)
{
    if (layout->file >= 0) H5Fclose(layout->file);
    if (layout->creation >= 0) H5Pclose(layout->creation);
    if (layout->access >= 0) H5Pclose(layout->access);
}

static bool layout_tables(struct layout *layout, const struct shard_writer *writer)
{
    for (int table = 0; table < N_SHARD_TABLES; table++) {
        if (!table_create(layout->file, (enum shard_table)table,
                          table_rows(writer, (enum shard_table)table), &layout->offsets[table]))
            return false;
    }
    void *handle = NULL;
    hsize_t size = 0;
    if (H5Fflush(layout->file, H5F_SCOPE_GLOBAL) < 0 || H5Fget_filesize(layout->file, &size) < 0 ||
        H5Fget_vfd_handle(layout->file, H5P_DEFAULT, &handle) < 0)
        return false;
    layout->bytes = *(const uint8_t **)handle;
    layout->size = size;
    return true;
}

static enum status layout_make(struct layout *layout, const struct shard_writer *writer)
{
    const size_t increment = 1; /* the file ends where the layout ends */
    shard_silence_hdf5();
    layout->access = shard_file_access();
    layout->creation = file_creation();
    if (H5Pset_fapl_core(layout->access, increment, false) >= 0)
        layout->file = H5Fcreate(writer->path, H5F_ACC_TRUNC, layout->creation, layout->access);
    if (layout->file < 0 || !attributes_write(layout->file, writer) ||
        !layout_tables(layout, writer))
        return shard_fail_hdf5(ERR_MEMORY, "lay out", writer->path);
    return OK;
}

/* Tables that hold rows, in the order in which they lie in the file; returns how many. */
static int tables_in_order(const struct shard_writer *writer, const uint64_t *offsets,
                           enum shard_table *order)
{
    int n = 0;
    for (int table = 0; table < N_SHARD_TABLES; table++) {
        if (writer->tables[table].size == 0) continue;
        int at = n++;
        for (; at > 0 && offsets[order[at - 1]] > offsets[table]; at--) order[at] = order[at - 1];
        order[at] = (enum shard_table)table;
    }
    return n;
}

enum status shard_writer_commit(struct shard_writer *writer)
{
    enum status status = OK;
    struct atomic_file file = {0};
    struct layout layout = {.access = -1, .creation = -1, .file = -1};
    enum shard_table order[N_SHARD_TABLES];
    TRY(layout_make(&layout, writer));
    TRY(atomic_file_open(&file, writer->path));
    const int n = tables_in_order(writer, layout.offsets, order);
    for (int i = 0; i < n; i++) {
        const struct table_buffer *table = &writer->tables[order[i]];
        const uint64_t offset = layout.offsets[order[i]];
        ASSERT(offset >= file.offset && offset + table->size <= layout.size,
               "tables overlap in the layout of %s", writer->path);
        TRY(atomic_file_write(&file, layout.bytes + file.offset, offset - file.offset));
        TRY(atomic_file_write(&file, table->bytes, table->size));
    }
    TRY(atomic_file_write(&file, layout.bytes + file.offset, layout.size - file.offset));
    TRY(atomic_file_commit(&file));
out:
    atomic_file_abandon(&file);
    layout_release(&layout);
    return status;
}
