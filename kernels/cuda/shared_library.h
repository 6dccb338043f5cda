/* NVIDIA's libraries are opened when they are first needed, so that one program also runs on
 * machines without them. */
#ifndef ROBIN_KERNELS_CUDA_SHARED_LIBRARY_H
#define ROBIN_KERNELS_CUDA_SHARED_LIBRARY_H

#include <dlfcn.h>
#include <stddef.h>

#include "base/status.h"

struct library_symbol {
    const char *name;
    void **address_out;
};

/* Opens the first of the names (ended by NULL) that is found, and finds all symbols in it. */
static inline enum status library_open(const char *const *names,
                                       const struct library_symbol *symbols, int n_symbols)
{
    void *library = NULL;
    for (int i = 0; library == NULL && names[i] != NULL; i++)
        library = dlopen(names[i], RTLD_NOW | RTLD_LOCAL);
    if (library == NULL)
        return status_fail(ERR_UNSUPPORTED, "cannot load %s: %s; put its folder on LD_LIBRARY_PATH",
                           names[0], dlerror());
    for (int i = 0; i < n_symbols; i++) {
        *symbols[i].address_out = dlsym(library, symbols[i].name);
        if (*symbols[i].address_out == NULL)
            return status_fail(ERR_UNSUPPORTED,
                               "%s has no %s; it is another version than the one "
                               "this program was built with",
                               names[0], symbols[i].name);
    }
    return OK;
}

#endif
