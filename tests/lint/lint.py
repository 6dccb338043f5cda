#!/usr/bin/env python3
"""What a program can check of how this repository is written.

usage: tests/lint/lint.py BUILD [--strict]

BUILD (build/cpu) must hold an up to date build of everything: symbols are read from its objects.
Each finding is one line, FILE:LINE: what and remedy. Exit code 1 if there is one. Checks named in
WARN_ONLY print theirs without failing, unless --strict.
"""
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor

WARN_ONLY = {"used by tests only"}

MAX_LINE = 100
MAX_FILE_LINES = 800
MAX_FUNCTION_LINES = {"kernels": 120, "": 70}
MAX_PARAMETERS = 6
MAX_BRACES = 5  # the function's own and four inside it

# Names that may stand in several folders.
SHARED_NAMES = {"README.md", "LICENSE", ".gitignore", "run"}
# Keys that are spent while a configuration is read.
READ_BY_CONFIG = {"model.base", "data.without"}
# Folders of data and of configuration that need no README of their own.
NO_README = (".ci", "tests/data", "tests/bad_configs/model", "tests/fuzz/seeds")

FORBIDDEN_CALLS = {
    "strcpy": "text_copy or memcpy", "strcat": "text_append", "sprintf": "text_format",
    "vsprintf": "text_vprintf", "strtok": "strcspn", "gets": "file_read", "atoi": "strtol",
    "atol": "strtol", "atof": "strtod", "rand": "random_u64", "srand": "random_stream",
    "alloca": "memory_new",
}

# What belongs to one folder: nobody else may call it. Tests may.
OWNED = [
    (r"\bMPI_[A-Z][a-z]", ("src/comm",), "MPI"),
    (r"\bH5[A-Z]{1,2}[a-z]", ("src/corpus",), "HDF5"),
    (r"\byaml_(parser|event|emitter|document)_", ("src/config",), "libyaml"),
    (r"\b(jpeg_|png_)[a-z]", ("src/image",), "libjpeg and libpng"),
    (r"\b__builtin_shuffle\b", ("src/base",), "gcc alone; base/shuffle.h"),
    (r"\bcblas_", ("kernels",), "BLAS"),
    (r"\bcairo_", ("src/report", "src/corpus", "src/sgedit"), "cairo"),
    (r"\bcurl_[a-z]", ("src/sgedit",), "libcurl"),
]

findings = []


def find(check, place, sentence):
    findings.append((check, f"{place}: {sentence}"))


def run(*command):
    return subprocess.run(command, capture_output=True, text=True, check=False)


def tracked_files():
    listed = run("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard").stdout
    return sorted(f for f in set(listed.split("\0")) if f and os.path.isfile(f))


def read_lines(path):
    with open(path, encoding="utf-8") as f:
        return f.read().split("\n")


def without_comments_and_strings(text):
    """The same text with comments and string contents blanked, lines kept."""
    pattern = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])+\'', re.S)

    def blank(match):
        inner = re.sub(r"[^\n]", " ", match.group(0))
        return '""' + inner[2:] if match.group(0)[0] == '"' else inner

    return pattern.sub(blank, text)


def check_layers(sources):
    row_of, allowed = {}, set()
    n_rows = 0
    for line in read_lines("src/LAYERS"):
        words = line.split("#")[0].split()
        if not words:
            continue
        if words[0] == "allow":
            allowed.add((words[1], words[2]))
            continue
        n_rows += 1
        for folder in words:
            row_of[folder] = n_rows
    folder_rows = sorted(row_of, key=len, reverse=True)

    def layer_of(path):
        folder = os.path.dirname(path)
        for known in folder_rows:
            if folder == known or (known != "src" and folder.startswith(known + "/")):
                return known
        return None

    headers = {f for f in sources if f.endswith(".h")}
    for path in sources:
        if path.startswith("tests/"):
            continue
        own = layer_of(path)
        if own is None:
            find("layers", path, "its folder has no row in src/LAYERS; add it")
            continue
        for number, line in enumerate(read_lines(path), 1):
            match = re.match(r'\s*#\s*include\s+"([^"]+)"', line)
            if not match:
                continue
            name = match.group(1)
            tried = [os.path.normpath(os.path.join(base, name))
                     for base in (os.path.dirname(path), "src", "kernels")]
            target = next((t for t in tried if t in headers), None)
            if target is None:
                find("layers", f"{path}:{number}", f'"{name}" is not a header of src or kernels')
                continue
            other = layer_of(target)
            if other == own or other is None:
                continue
            if row_of[other] > row_of[own]:
                find("layers", f"{path}:{number}",
                     f"{own} may not include {target}: {other} stands below it in src/LAYERS")
            elif row_of[other] == row_of[own] and (own, other) not in allowed:
                find("layers", f"{path}:{number}",
                     f"{own} may not include {target}: same row of src/LAYERS, no 'allow' line")


def check_sizes(sources):
    for path in sources:
        lines = read_lines(path)
        if len(lines) - 1 > MAX_FILE_LINES:
            find("sizes", path, f"{len(lines) - 1} lines, the limit is {MAX_FILE_LINES}; split it")
        for number, line in enumerate(lines, 1):
            if len(line) > MAX_LINE:
                find("sizes", f"{path}:{number}", f"{len(line)} columns, the limit is {MAX_LINE}")
    c_files = [f for f in sources if f.endswith(".c")]
    tags = run("ctags", "--languages=C", "--c-kinds=f", "--fields=+neS", "--output-format=json",
               "-o", "-", *c_files).stdout
    for line in tags.splitlines():
        tag = json.loads(line)
        if "end" not in tag:
            continue
        path, name = tag["path"], tag["name"]
        in_kernels = path.startswith("kernels/")
        limit = MAX_FUNCTION_LINES["kernels" if in_kernels else ""]
        length = tag["end"] - tag["line"] + 1
        place = f"{path}:{tag['line']}"
        if length > limit:
            find("sizes", place, f"{name} has {length} lines, the limit is {limit}; split it")
        n_parameters = tag.get("signature", "").count(",") + 1
        # The parameters of a function that is itself a parameter are not counted apart.
        callback = "(*" in tag.get("signature", "") or "( *" in tag.get("signature", "")
        # What a library calls back has the parameters that the library passes.
        callback = callback or "struct MHD_Connection" in tag.get("signature", "")
        if n_parameters > MAX_PARAMETERS and not callback and not in_kernels \
                and not path.startswith("tests/"):
            find("sizes", place, f"{name} has {n_parameters} parameters, the limit is "
                 f"{MAX_PARAMETERS}; use a struct")
        if not in_kernels:
            check_nesting(path, name, tag["line"], tag["end"])


def check_nesting(path, name, first, last):
    with open(path, encoding="utf-8") as f:
        body = without_comments_and_strings(f.read()).split("\n")[first - 1:last]
    depth = 0
    for number, line in enumerate(body, first):
        for c in line:
            depth += {"{": 1, "}": -1}.get(c, 0)
            if depth > MAX_BRACES:
                find("sizes", f"{path}:{number}", f"{name} is nested too deep; take a part out")
                return


def check_names(files):
    seen = {}
    for path in files:
        name = os.path.basename(path)
        # Data, and the demo's stages, which have the names of the stages that they stand for.
        if name in SHARED_NAMES or path.startswith(("tests/data/", "configs/demo/")):
            continue
        if name in seen:
            find("names", path, f"its name is taken by {seen[name]}; file names are unique")
        seen[name] = path


def check_calls(sources):
    calls = re.compile(r"(?<![\w.>])(" + "|".join(FORBIDDEN_CALLS) + r")\s*\(")
    for path in sources:
        with open(path, encoding="utf-8") as f:
            text = without_comments_and_strings(f.read())
        for number, line in enumerate(text.split("\n"), 1):
            place = f"{path}:{number}"
            match = calls.search(line)
            if match:
                name = match.group(1)
                find("calls", place, f"{name} is not used here; use {FORBIDDEN_CALLS[name]}")
            if path.startswith("tests/"):
                continue
            for pattern, owners, what in OWNED:
                if re.search(pattern, line) and not path.startswith(owners):
                    find("calls", place, f"{what} is called by {' and '.join(owners)} alone")


def check_headers(sources, build):
    """Each header compiles alone. A stamp keeps the time of the last success."""
    flags = run("make", "-s", "print-compile").stdout.split()
    stamp_folder = os.path.join(build, "lint")
    os.makedirs(stamp_folder, exist_ok=True)
    headers = [f for f in sources if f.endswith(".h")]
    newest = max(os.path.getmtime(h) for h in headers + ["Makefile"])

    def compile_alone(path):
        stamp = os.path.join(stamp_folder, path.replace("/", "-"))
        if os.path.exists(stamp) and os.path.getmtime(stamp) > newest:
            return
        # Included from an empty file: a header that is itself the input would be warned about.
        unit = stamp + ".c"
        with open(unit, "w", encoding="utf-8") as f:
            f.write(f'#include "{os.path.abspath(path)}"\ntypedef int nothing_else;\n')
        done = run(*flags, "-fsyntax-only", unit)
        os.remove(unit)
        if done.returncode != 0:
            first = next((l for l in done.stderr.splitlines() if "error" in l), done.stderr[:200])
            find("headers", path, f"does not compile alone: {first}")
            return
        with open(stamp, "w", encoding="utf-8"):
            pass

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_alone, headers))


def check_format(sources):
    formatter = os.environ.get("CLANG_FORMAT", "clang-format")
    done = run(formatter, "--dry-run", *sources)
    wrong = sorted({line.split(":")[0] for line in done.stderr.splitlines() if "warning:" in line})
    for path in wrong:
        find("format", path, "clang-format would change it; run 'make format'")


def check_config(build):
    program = os.path.join(build, "robin-dist")
    written = run(program, "help-config", "--yaml").stdout
    with open("configs/reference.yaml", encoding="utf-8") as f:
        if f.read() != written:
            find("config", "configs/reference.yaml", "is not what the table of keys says; run "
                 "'./robin-dist help-config --yaml > configs/reference.yaml'")
    used = defaultdict(bool)
    with open("src/config/run_config.h", encoding="utf-8") as f:
        fields = set(re.findall(r"\b([a-z]\w*)\s*[,;]", without_comments_and_strings(f.read())))
    for path in tracked_files():
        if not re.match(r"src/.*\.c$", path) or path.startswith("src/config/"):
            continue
        with open(path, encoding="utf-8") as f:
            for word in set(re.findall(r"(?:\.|->)([a-z]\w*)", f.read())):
                used[word] = True
    with open("src/config/config_table.c", encoding="utf-8") as f:
        rows = re.findall(r'\{"([a-z_.\[\]]+)",\s*CONFIG_\w+,\s*(?:AT|IN_\w+)\(([\w.]+)\)'
                          r'(?:[^}]*?\.choices\s*=\s*"([^"]*)")?', f.read(), re.S)
    for key, field, choices in rows:
        last = field.split(".")[-1]
        if choices and "|" not in choices:
            continue  # one choice: nothing to decide yet
        if last in fields and not used[last] and key not in READ_BY_CONFIG:
            find("unread keys", "src/config/config_table.c", f"nothing reads {key}")


def symbols_of(objects):
    """For each object: the global symbols it defines, those it needs, its mutable data."""
    defined, needed, mutable = {}, {}, {}
    for path in objects:
        defined[path], needed[path], mutable[path] = set(), set(), set()
        for line in run("objdump", "-t", path).stdout.splitlines():
            match = re.match(r"^[0-9a-f]+ (.{7}) (\S+)\s+[0-9a-f]+ (?:\.hidden )?(\S+)$", line)
            if not match:
                continue
            flags, section, name = match.groups()
            if section == "*UND*":
                needed[path].add(name)
            elif flags[0] in "gu" and "d" not in flags[5]:
                defined[path].add(name)
            if flags[6] == "O" and re.match(r"\.(data|bss|tdata|tbss)(\.|$)", section) \
                    and not section.startswith(".data.rel.ro"):
                mutable[path].add(name)
            if section == "*COM*":
                mutable[path].add(name)
    return defined, needed, mutable


def check_symbols(sources, build):
    def objects_below(folder):
        return [os.path.join(at, f) for at, _, names in os.walk(folder) for f in names
                if f.endswith(".o")]

    def source_of(path):
        return os.path.relpath(path, build)[:-2] + ".c"

    exists = set(sources)
    library = [o for top in ("src", "kernels") for o in objects_below(os.path.join(build, top))
               if source_of(o) in exists]
    tests = objects_below(os.path.join(build, "tests")) + \
        objects_below(os.path.join(build, "golden-objects"))
    defined, needed, mutable = symbols_of(library)
    _, needed_by_tests, _ = symbols_of(tests)
    users = defaultdict(set)
    for path, names in needed.items():
        for name in names:
            users[name].add(path)
    tested = set().union(*needed_by_tests.values()) if needed_by_tests else set()
    for path in library:
        for name in sorted(defined[path]):
            if name == "main" or users[name] - {path}:
                continue
            if name in tested:
                find("used by tests only", source_of(path), f"{name} is used by tests only")
            else:
                find("symbols", source_of(path),
                     f"{name} is used by no other file; make it static or remove it")
        if not source_of(path).startswith("src/base/"):
            for name in sorted(mutable[path]):
                if name.startswith(("__", "completed.")):
                    continue
                find("globals", source_of(path),
                     f"{name} is a mutable global; state belongs to a struct of the caller")


def check_readmes(files):
    folders = {os.path.dirname(f) for f in files}
    have = {os.path.dirname(f) for f in files if os.path.basename(f) == "README.md"}
    for folder in sorted(folders - have):
        # tests/NAME mirrors src/NAME and is described there.
        mirrors = folder.startswith("tests/") and "src" + folder[5:] in folders
        if not mirrors and not folder.startswith(NO_README):
            find("readme", folder or ".", "has no README.md; say what is here, what is not, where "
                 "to start")


def check_words(files):
    """The repository speaks of itself only."""
    for path in files:
        if path.startswith("tests/lint/") or not re.search(r"\.(c|h|md|sh|py|yaml)$", path):
            continue
        for number, line in enumerate(read_lines(path), 1):
            if re.search(r"(?<![\w.])/(work|tmp/house)/", line):
                find("words", f"{path}:{number}", "names a path of one machine")


def main():
    build = sys.argv[1]
    strict = "--strict" in sys.argv
    files = tracked_files()
    sources = [f for f in files if f.endswith((".c", ".h"))]
    check_layers(sources)
    check_sizes(sources)
    check_names(files)
    check_calls(sources)
    check_headers(sources, build)
    check_format(sources)
    check_config(build)
    check_symbols(sources, build)
    check_readmes(files)
    check_words(files)
    n_failed = 0
    for check, sentence in findings:
        warn = check in WARN_ONLY and not strict
        n_failed += not warn
        print(f"{'warning' if warn else 'lint'} ({check}): {sentence}")
    print(f"lint: {len(sources)} sources, {n_failed} findings, "
          f"{len(findings) - n_failed} warnings")
    sys.exit(1 if n_failed else 0)


if __name__ == "__main__":
    main()
