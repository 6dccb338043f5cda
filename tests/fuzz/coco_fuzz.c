/* Annotation files of COCO's form, without pictures: their index, then every record up to the
 * moment when its picture would be read. */
#include <ctype.h>

#include "base/status.h"
#include "corpus/import.h"
#include "fuzz/fuzz.h"

/* Large pictures are right and slow. */
static int has_large_number(const uint8_t *data, size_t size)
{
    int digits = 0;
    for (size_t i = 0; i < size; i++) {
        digits = isdigit(data[i]) ? digits + 1 : 0;
        if (digits > 3 || data[i] == 'e' || data[i] == 'E') {
            const int is_exponent = !isdigit(data[i]) && i > 0 && isdigit(data[i - 1]);
            if (digits > 3 || is_exponent) return 1;
        }
    }
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static enum status (*const kinds[])(struct record_source *, const struct import_options *) = {
        import_coco, import_paco, import_coco_panoptic, import_refcoco};
    struct fuzz_input input = {data, size};
    struct record_source source = {0};
    const uint64_t kind = fuzz_integer(&input, sizeof kinds / sizeof kinds[0]);
    if (has_large_number(input.data, input.size)) return 0;
    const char *path = fuzz_file(input.data, input.size);
    const struct import_options options = {
        .annotations = path, .with = path, .images = fuzz_folder(), .split = "all"};
    const struct import_options alone = {
        .annotations = path, .images = fuzz_folder(), .split = "all"};
    const int is_list = input.size > 0 && input.data[0] == '[';
    if (kinds[kind](&source, kind == 3 && is_list ? &options : &alone) == OK) {
        for (int64_t i = 0; i < source.n_items && i < 16; i++) {
            struct record record = {0};
            struct item_note note = {0};
            fuzz_require(source.make(source.context, i, &record, &note) != OK,
                         "a record without its picture is none");
            item_note_release(&note);
            record_release(&record);
        }
    }
    record_source_release(&source);
    status_clear();
    return 0;
}
