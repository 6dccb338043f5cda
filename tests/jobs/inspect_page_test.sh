#!/bin/bash
# data inspect --html: a page of samples as they are trained on has as many rows and learnt rows as
# data mixture counts, each row its id and that id's text; a page of drawn records.
set -uo pipefail
robin=${ROBIN_BUILD:-build/cpu}/robin-dist
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() { echo "FAILED: $*"; exit 1; }
refused() { # WORDS ARGUMENT...
    local words=$1 out rc
    shift
    out=$("$robin" data inspect "$@" 2>&1)
    rc=$?
    [ $rc = 2 ] || fail "data inspect $* gave $rc, expected 2: $out"
    [[ $out == *"$words"* ]] || fail "data inspect $* said '$out', expected '$words'"
}

"$robin" data build scenes --count 12 --size 64 --out "$work/scenes" 2>/dev/null || fail "build"
cp -r configs/model "$work"
cat >"$work/run.yaml" <<END
model: robin-tiny
tokenizer: datasets/tokenizer-scenes
data:
  max_length: 180
  sources:
    - {corpus: $work/scenes, tasks: [sg, relation, refexp], box_text: true}
END
"$robin" data mixture "$work/run.yaml" --ranks 1 >"$work/mixture" || fail "mixture"
"$robin" data inspect "$work/run.yaml" --html "$work/page.html" --count 36 || fail "a page of samples"
python3 - "$work" <<'END' || fail "the page"
import json, re, sys
import xml.etree.ElementTree as tree
work = sys.argv[1]
counted = open(f"{work}/mixture").read()
page = tree.parse(f"{work}/page.html").getroot()
html = "{http://www.w3.org/1999/xhtml}"
sections = list(page.iter(html + "section"))
assert len(sections) == 36, len(sections)

folder = "datasets/tokenizer-scenes"
vocabulary = json.load(open(f"{folder}/vocab.json"))
added = json.load(open(f"{folder}/added_tokens.json"))
plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
letters = {chr(b): b for b in plain}
letters.update({chr(256 + i): b for i, b in enumerate(b for b in range(256) if b not in plain)})
text_of = {i: bytes(letters[c] for c in t).decode(errors="backslashreplace") for t, i in vocabulary.items()}
text_of.update({i: t for t, i in added.items()})

rows = learnt = cut = 0
for section in sections:
    paragraphs = list(section.iter(html + "p"))
    said = [int(n) for n in re.findall(r"\d+", "".join(paragraphs[0].itertext()))]
    marks, n, answer = 0, 0, ""
    for row in paragraphs[1]:
        if row.tag == html + "i":
            n += int(re.search(r"\d+", row.text).group())
            continue
        n += 1
        if row.tag == html + "b":
            continue
        shown = row.text.replace("\u21b5\n", "\n")
        assert text_of.get(int(row.get("data-id")), shown) == shown, (row.attrib, shown)
        if row.tag == html + "mark":
            marks += 1
            answer += shown
            assert row.get("data-label") is None
    assert said[:2] == [n, marks], (said, n, marks)
    assert n <= 180 and (said[2] == 0 or n == 180)
    rows, learnt, cut = rows + n, learnt + marks, cut + (said[2] > 0)
    title = "".join(section.find(f"{html}div/{html}h2").itertext())
    if "task sg" in title and said[2] == 0:
        names = [b.text.split(" ", 1)[1] for b in section.find(f"{html}div/{html}ul").iter(html + "b")]
        assert all(name in answer for name in names), (names, answer)
assert rows == int(re.search(r"^tokens +(\d+)", counted, re.M).group(1))
assert learnt == int(re.search(r"^target tokens +(\d+)", counted, re.M).group(1))
assert 0 < cut < 36, cut
END

# Records drawn: the same for a seed, each once.
page() { "$robin" data inspect "$work/scenes" --html "$work/$1" --count 5 --draw "$2" || fail "a page"; }
page one.html 1
page same.html 1
page two.html 2
cmp -s "$work/one.html" "$work/same.html" || fail "one seed, two pages"
cmp -s "$work/one.html" "$work/two.html" && fail "two seeds, one page"
[ "$(grep -o 'scenes-1/[0-9]*' "$work/one.html" | sort -u | wc -l)" = 5 ] || fail "not five records"
refused "has no record 12; it has 12" "$work/scenes" --html "$work/x.html" --record 12
refused "use --html FILE" "$work/run.yaml"
refused "without --draw" "$work/run.yaml" --html "$work/x.html" --draw 1
[ ! -e "$work/x.html" ] || fail "a refused page was written"
