/* A configuration file and an override, both of a stranger. */
#include <stdlib.h>
#include <string.h>

#include "base/status.h"
#include "config/run_config.h"
#include "fuzz/fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fuzz_input input = {data, size};
    uint64_t kind = fuzz_integer(&input, 2);
    size_t n_bytes;
    char *text = fuzz_rest(&input, &n_bytes);
    struct run_config config = {0};
    static const char valid[] = "job: train\n";
    enum status status;
    if (kind == 0) {
        status = run_config_load(&config, fuzz_file((const uint8_t *)text, n_bytes), NULL, 0);
    } else {
        const char *override = text;
        status = run_config_load(&config, fuzz_file((const uint8_t *)valid, sizeof valid - 1),
                                 &override, 1);
    }
    if (status == OK) {
        char *written = run_config_write(&config);
        struct run_config again = {0};
        fuzz_require(run_config_load(&again, fuzz_file((const uint8_t *)written, strlen(written)),
                                     NULL, 0) == OK,
                     "a configuration that was written is read");
        char *second = run_config_write(&again);
        fuzz_require(strcmp(written, second) == 0, "and means the same");
        free(second);
        free(written);
        run_config_release(&again);
    }
    run_config_release(&config);
    free(text);
    return 0;
}
