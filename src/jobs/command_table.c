/* One row per command; main's help lists them in this order. */
#include "jobs/checkpoint_commands.h"
#include "jobs/checkpoint_state_commands.h"
#include "jobs/command.h"
#include "jobs/data_commands.h"
#include "jobs/doctor_command.h"
#include "jobs/help_command.h"
#include "jobs/integrity_commands.h"
#include "jobs/mixture_command.h"
#include "jobs/plan_command.h"
#include "jobs/predict_command.h"
#include "jobs/report_command.h"
#include "jobs/serve_command.h"
#include "jobs/tokenizer_command.h"

const struct command commands[] = {
    {"data build", "scenes --count N --out DIR [option...]",
     "make a corpus of drawn scenes; --help lists the options", data_build_command},
    {"data import", "KIND FILE --out DIR [option...]",
     "make a corpus of public annotations; --help lists the options", data_import_command},
    {"data inspect", "DIR|CONFIG.yaml [--record N] [--html FILE]",
     "show what a corpus holds, one record, a page of pictures, or samples as they are trained on",
     data_inspect_command},
    {"data tokenizer", "CORPUS --out DIR --task NAME...",
     "learn a small vocabulary from a corpus; --help lists the options", data_tokenizer_command},
    {"data verify", "DIR [option...]", "read and check every record of a corpus",
     data_verify_command},
    {"data diff", "A B", "show what two corpora do not have in common", data_diff_command},
    {"data repair", "DIR [--out NEW]",
     "write an index anew, or copy what is whole of a damaged corpus", data_repair_command},
    {"data mixture", "FILE [option...]",
     "count what a mixture amounts to: samples, tokens, shares, lengths, steps, balance",
     data_mixture_command},
    {"checkpoint import", "CONFIG.yaml --from PATH... --out DIR",
     "make a checkpoint from Hugging Face or open_clip safetensors", checkpoint_import_command},
    {"checkpoint export", "CONFIG.yaml --from PATH --out DIR",
     "write a checkpoint's weights as safetensors for from_pretrained", checkpoint_export_command},
    {"checkpoint inspect", "PATH [--tensors] [--checksums] [--config]",
     "show what a checkpoint holds", checkpoint_inspect_command},
    {"checkpoint verify", "PATH", "read checkpoints and compare every checksum",
     checkpoint_verify_command},
    {"checkpoint diff", "A B", "show what two checkpoints do not have in common",
     checkpoint_diff_command},
    {"checkpoint prune", "DIR --keep-last N [--keep-every N] [--dry-run]",
     "remove older checkpoints of a run", checkpoint_prune_command},
    {"predict", "CONFIG.yaml --image FILE [option...]",
     "ask a model about one picture: graph, boxes, answers; --help lists the options",
     predict_command},
    {"serve", "CONFIG.yaml [option...]",
     "answer OpenAI's chat completions over HTTP; --help lists the options", serve_command},
    {"plan", "CONFIG.yaml --ranks N [--gpu h200] [option...]",
     "what a run will take: memory of a rank, bytes on the wire, time; --help lists the options",
     plan_command},
    {"doctor", "[CONFIG.yaml] [--set KEY=VALUE...]",
     "look whether these machines have what a run needs, alone or under mpirun", doctor_command},
    {"report", "RUN [--html FILE]",
     "what a run or a curriculum came to: a summary, and a page of curves", report_command},
    {"help-config", "[--yaml | key]", "explain the keys of configurations", help_config_command},
};

const size_t n_commands = sizeof commands / sizeof commands[0];
