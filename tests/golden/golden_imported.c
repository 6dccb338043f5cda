/* Records of nearly all classes, made by the importers that users have: the annotation file of the
 * case is written beside blank pictures of the sizes that it states, and imported. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/import.h"
#include "golden_builder.h"
#include "golden_text.h"
#include "image/image.h"

static const struct {
    const char *class, *kind, *variant;
} kinds[] = {{"OspreyConversations", "osprey", NULL},
             {"OspreyShortForm", "osprey", NULL},
             {"OspreyPartLevel", "osprey", NULL},
             {"OspreyLVISPosNeg", "osprey", NULL},
             {"OspreyDetailedDescription", "osprey", NULL},
             {"LlavaDataset", "llava", "conversation"},
             {"LlavaOneVisionDataset", "onevision", NULL},
             {"VCRDataset", "vcr", NULL},
             {"VSRDataset", "vsr", NULL},
             {"FlickrEntitiesDataset", "flickr", NULL},
             {"PointQALocalDataset", "pointqa", "local"},
             {"PointQATwiceDataset", "pointqa", "twice"},
             {"RelationCategoryDataset", "svg-relations", NULL},
             {"RelationDescriptionDataset", "svg-relations", NULL},
             {"RelationSummaryDataset", "svg-relations", NULL},
             {"GQACoTGroundedSGDataset", "gqa-cot", NULL},
             {"GQACoTSGDataset", "gqa-cot", NULL},
             {"GQACoTDataset", "gqa-cot", NULL},
             {"SGDetectionDataset", "gqa", NULL},
             {"SGDataset", "gqa", NULL},
             {"V7WPointQADataset", "v7w", NULL},
             {"COCODataset", "coco", NULL},
             {"PartImagenet", "partimagenet", NULL},
             {"PascalPart", "coco", NULL},
             {"PacoDataset", "paco", NULL},
             {"RefCOCO", "refcoco", NULL},
             {"RefCOCOP", "refcoco", NULL},
             {"VGDATA", "coco", NULL}};

static enum status write_text(const char *folder, const char *name, const json_t *value)
{
    enum status status = OK;
    char *path = path_join(folder, name);
    char *text = json_dumps(value, JSON_COMPACT);
    TRY(file_write_atomic(path, text, strlen(text)));
out:
    free(text);
    free(path);
    return status;
}

/* `size` is [width, height], or a document. */
static enum status write_file(const char *folder, const char *name, const json_t *size)
{
    enum status status = OK;
    struct image image = {0};
    uint8_t *bytes = NULL;
    size_t n_bytes = 0;
    char *path = path_join(folder, name);
    char *parent = path_parent(path);
    TRY(directory_create(parent));
    if (!json_is_array(size)) {
        TRY(write_text(folder, name, size));
        goto out;
    }
    image.width = json_integer_value(json_array_get(size, 0));
    image.height = json_integer_value(json_array_get(size, 1));
    image.rgb = memory_new((size_t)(image.width * image.height), 3);
    TRY(image_encode_png(&bytes, &n_bytes, &image));
    TRY(file_write_atomic(path, bytes, n_bytes));
out:
    image_release(&image);
    free(bytes);
    free(parent);
    free(path);
    return status;
}

/* Every row that is a record; the others are those of which the release makes no item. */
static enum status take_records(const struct golden_reading *reading,
                                const struct record_source *source)
{
    enum status status = OK;
    struct golden_records *records = reading->records;
    for (int64_t i = 0; i < source->n_items; i++) {
        struct record record = {0};
        struct item_note note = {0};
        status = source->make(source->context, i, &record, &note);
        const bool skipped = status != OK && note.reason != NULL;
        item_note_release(&note);
        if (status != OK) record_release(&record);
        if (skipped) continue;
        TRY(status);
        records->records =
            memory_resize(records->records, (size_t)records->n + 1, sizeof *records->records);
        records->records[records->n++] = record;
    }
    status = OK;
out:
    return status;
}

enum status golden_read_imported(const struct golden_reading *reading)
{
    enum status status = OK;
    struct record_source source = {0};
    char folder[] = "/tmp/golden-rows-XXXXXX";
    char *path = NULL;
    const char *class = golden_text_string(reading->row, "class");
    const char *name;
    const json_t *size;
    size_t k = 0;
    while (strcmp(kinds[k].class, class) != 0) k++;
    if (mkdtemp(folder) == NULL) FAIL(ERR_IO, "cannot make a folder %s", folder);
    path = path_join(folder, "rows.json");
    TRY(write_text(folder, "rows.json", json_object_get(reading->row, "records")));
    json_object_foreach((json_t *)(uintptr_t)reading->files, name, size)
        TRY(write_file(folder, name, size));
    const struct import_options options = {
        .annotations = path, .images = folder, .variant = kinds[k].variant};
    TRY(import_find(kinds[k].kind)->open(&source, &options));
    TRY(take_records(reading, &source));
out:
    record_source_release(&source);
    (void)directory_remove(folder);
    free(path);
    return status;
}
