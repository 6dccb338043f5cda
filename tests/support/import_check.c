/* See import_check.h. */
#include "support/import_check.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/text_buffer.h"
#include "corpus/corpus_inspect.h"
#include "image/image.h"
#include "support/corpus_records.h"

#define WIDTH  8
#define HEIGHT 6

int import_check_set_up(void **state)
{
    char *folder = test_folder();
    uint8_t *bytes = NULL;
    size_t size = 0;
    struct image image = {.height = HEIGHT, .width = WIDTH};
    image.rgb = memory_new(HEIGHT * WIDTH * 3, 1);
    char *jpeg = path_join(folder, "7.jpg");
    char *png = path_join(folder, "7.png");
    char *broken = path_join(folder, "8.jpg");
    assert_int_equal(image_encode_jpeg(&bytes, &size, &image, 90), OK);
    assert_int_equal(file_write_atomic(jpeg, bytes, size), OK);
    free(bytes);
    /* panoptic: left half segment 1, right half segment 258 = (2, 1, 0), the last row void */
    for (int y = 0; y < HEIGHT - 1; y++) {
        for (int x = 0; x < WIDTH; x++) {
            image.rgb[(y * WIDTH + x) * 3] = x < WIDTH / 2 ? 1 : 2;
            image.rgb[(y * WIDTH + x) * 3 + 1] = x < WIDTH / 2 ? 0 : 1;
        }
    }
    assert_int_equal(image_encode_png(&bytes, &size, &image), OK);
    assert_int_equal(file_write_atomic(png, bytes, size), OK);
    assert_int_equal(file_write_atomic(broken, bytes, size / 2), OK);
    free(bytes);
    free(jpeg);
    free(png);
    free(broken);
    image_release(&image);
    *state = folder;
    return 0;
}

int import_check_tear_down(void **state)
{
    const enum status removed = directory_remove(*state);
    free(*state);
    return removed == OK ? 0 : -1;
}

enum status import_check_open(struct record_source *source, import_open open, const char *folder,
                              const char *json, const char *split)
{
    char *path = path_join(folder, "a.json");
    const struct import_options options = {.annotations = path, .images = folder, .split = split};
    assert_int_equal(file_write_atomic(path, json, strlen(json)), OK);
    const enum status status = open(source, &options);
    free(path);
    return status;
}

char *import_check_item(const struct record_source *source, int64_t item)
{
    struct record record = {0};
    struct item_note note = {0};
    struct text_buffer text = {0};
    if (source->make(source->context, item, &record, &note) != OK)
        text_printf(&text, "%s: %s", note.reason == NULL ? "refused" : note.reason,
                    status_message());
    else
        record_describe(&text, &record);
    for (int64_t i = 0; i < note.n_drops; i++)
        text_printf(&text, "dropped %s: %s\n", note.drops[i].reason, note.drops[i].why);
    item_note_release(&note);
    record_release(&record);
    return text_take(&text);
}

void import_check(import_open open, const char *folder, const char *json, const char *words)
{
    struct record_source source = {0};
    char *found = import_check_open(&source, open, folder, json, "all") == OK
                      ? import_check_item(&source, 0)
                      : text_format("refused: %s", status_message());
    if (strstr(found, words) == NULL) fail_msg("%s\nwanted '%s', found '%s'", json, words, found);
    free(found);
    record_source_release(&source);
}
