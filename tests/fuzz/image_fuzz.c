/* JPEG and PNG from strangers: probed, decoded, and what was decoded made ready for the model. */
#include <stdlib.h>

#include "base/status.h"
#include "fuzz/fuzz.h"
#include "image/image.h"
#include "image/panoptic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int64_t height = 0, width = 0;
    enum status probed = image_probe(&height, &width, data, size, "fuzz");
    /* Large pictures are right and slow. */
    if (probed == OK && height * width > 1 << 14) return 0;
    struct image image = {0};
    if (image_decode(&image, data, size, "fuzz") == OK) {
        fuzz_require(probed == OK, "a picture that decodes has a header that reads");
        fuzz_require(image.height == height && image.width == width,
                     "a picture is of the size that its header says");
        float pixels[8 * 8 * 3];
        struct image_source source = {data, size, "fuzz"};
        enum image_mode mode = height > width ? IMAGE_MODE_PAD : IMAGE_MODE_SQUASH;
        if (height * width < 1 << 14 && image_preprocess(pixels, source, mode, 8, 8) != OK)
            status_clear();
    }
    image_release(&image);
    return 0;
}
