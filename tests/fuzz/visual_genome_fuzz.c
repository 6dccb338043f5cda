/* Files of Visual Genome over a picture 7.jpg of 8 x 6 pixels, one of them any bytes: what comes of
 * them is a valid record or a sentence. */
#include <stdlib.h>

#include "base/status.h"
#include "base/text_buffer.h"
#include "corpus/import.h"
#include "fuzz/fuzz.h"
#include "image/image.h"

static void add_picture(void)
{
    struct image image = {.height = 6, .width = 8, .rgb = memory_new(6 * 8 * 3, 1)};
    uint8_t *bytes = NULL;
    size_t size = 0;
    if (image_encode_jpeg(&bytes, &size, &image, 90) == OK) fuzz_folder_file("7.jpg", bytes, size);
    free(bytes);
    image_release(&image);
}

static void make_all(const struct record_source *source)
{
    for (int64_t i = 0; i < source->n_items && i < 8; i++) {
        struct record record = {0};
        struct item_note note = {0};
        if (source->make(source->context, i, &record, &note) == OK)
            fuzz_require(record_check(&record) == OK, "an importer made a record that is none");
        item_note_release(&note);
        record_release(&record);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const files[] = {"objects.json", "attributes.json", "relationships.json",
                                        "region_descriptions.json", "question_answers.json"};
    static const char images[] = "[{\"image_id\": 7, \"url\": \"x/7.jpg\"}]";
    const size_t n_files = sizeof files / sizeof files[0];
    struct fuzz_input input = {data, size};
    struct record_source source = {0};
    const struct import_options options = {.annotations = fuzz_folder(), .images = fuzz_folder()};
    const uint64_t chosen = fuzz_integer(&input, n_files);
    add_picture();
    for (size_t i = 0; i < n_files; i++) {
        const uint8_t *bytes = i == chosen ? input.data : (const uint8_t *)"[]";
        fuzz_folder_file(files[i], bytes, i == chosen ? input.size : 2);
    }
    fuzz_folder_file("image_data.json", (const uint8_t *)images, sizeof images - 1);
    if (import_vg(&source, &options) == OK) make_all(&source);
    record_source_release(&source);
    status_clear();
    return 0;
}
