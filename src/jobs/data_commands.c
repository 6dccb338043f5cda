/* See data_commands.h. Every rank reads the same options; what one rank does alone, rank 0 does. */
#include "jobs/data_commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "base/text_buffer.h"
#include "corpus/corpus_build.h"
#include "corpus/scenes.h"
#include "corpus/shard.h"
#include "jobs/data_parts.h"

static enum status scenes_make(void *context, int64_t item, struct record *record_out,
                               struct item_note *note)
{
    (void)note; /* a scene that cannot be made is our fault: the build ends */
    return scenes_record(record_out, context, item);
}

static enum status scenes_prepare(struct corpus_stage *stage, const char *what, const char *out,
                                  const char *name, const struct scenes_options *options)
{
    enum status status = OK;
    if (strcmp(what, "scenes") != 0)
        FAIL(ERR_ARGUMENT, "data build: '%s' is not to be built; scenes is", what);
    TRY(scenes_options_check(options));
    TRY(corpus_stage_init(stage, out, name == NULL ? what : name));
out:
    return status;
}

enum status data_build_command(struct command_call *call)
{
    enum status status = OK;
    struct scenes_options scenes = scenes_options_default();
    struct build_options build = {.shard_items = 4096};
    int64_t count = 0;
    int64_t seed = (int64_t)scenes.seed;
    int64_t quality = scenes.quality;
    int64_t n_threads = 0;
    const char *what = NULL;
    const char *out = NULL;
    const char *name = NULL;
    const struct option_row rows[] = {
        {"WHAT", NULL, OPTION_TEXT, true, 0, 0, &what, "scenes: drawn pictures, all of them known"},
        {"--count", "N", OPTION_INTEGER, true, 1, 1e12, &count, "pictures"},
        OUT_ROW(out),
        {"--seed", "S", OPTION_INTEGER, false, 0, 1e15, &seed, "of all draws"},
        {"--first", "N", OPTION_INTEGER, false, 0, 1e15, &scenes.first,
         "number of the first picture: a held-out corpus begins elsewhere"},
        {"--size", "PIXELS", OPTION_INTEGER, false, 64, 1024, &scenes.size, "a side of a picture"},
        {"--min-things", "N", OPTION_INTEGER, false, 2, SCENES_MAX_THINGS, &scenes.min_things,
         "fewest things in a picture"},
        {"--max-things", "N", OPTION_INTEGER, false, 2, SCENES_MAX_THINGS, &scenes.max_things,
         "most things in a picture"},
        {"--crowd-objects", "MEAN", OPTION_NUMBER, false, 2, SCENES_MAX_CROWD,
         &scenes.crowd_objects,
         "crowded pictures: things on average, with a long tail; default: none"},
        {"--crowd-relations", "MEAN", OPTION_NUMBER, false, 0, 10000, &scenes.crowd_relations,
         "relations in a crowded picture on average; default: none"},
        {"--quality", "N", OPTION_INTEGER, false, 1, 100, &quality, "of the JPEG"},
        {"--name", "NAME", OPTION_TEXT, false, 0, 0, &name,
         "of the corpus and its files; default: scenes"},
        {"--shard-records", "N", OPTION_INTEGER, false, 1, 1e6, &build.shard_items,
         "records in a shard"},
        THREADS_ROW(n_threads),
    };
    const struct data_usage usage = {"data build", rows, N_ROWS(rows), NULL};
    struct comm *comm = NULL;
    struct corpus_stage stage = {0};
    char *identity = NULL;
    bool help;
    TRY(data_start(&comm, &usage, call, &help));
    if (help) goto out;
    scenes.seed = (uint64_t)seed;
    scenes.quality = (int)quality;
    TRY(comm_agree(comm, scenes_prepare(&stage, what, out, name, &scenes)));
    identity =
        text_format("build scenes by robin-dist %s, corpus %s, schema %d, %" PRId64 " from %" PRId64
                    ", seed %" PRId64 ", size %" PRId64 ", things %" PRId64 " .. %" PRId64
                    ", quality %" PRId64 ", crowds of %g with %g, %" PRId64 " a shard",
                    call->version, stage.name, SHARD_SCHEMA_VERSION, count, scenes.first, seed,
                    scenes.size, scenes.min_things, scenes.max_things, quality,
                    scenes.crowd_objects, scenes.crowd_relations, build.shard_items);
    build.identity = identity;
    const struct record_source source = {count, &scenes, scenes_make, NULL};
    build.n_threads = data_threads(comm, n_threads);
    TRY(data_build(call, comm, &source, &stage, &build));
out:
    free(identity);
    corpus_stage_release(&stage);
    comm_end(comm, status);
    return status;
}
