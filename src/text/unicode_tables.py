#!/usr/bin/env python3
"""Writes unicode_classes.c and unicode_forms.c: the character tables of the reference's tokenizer
library.

Input: unicodedata of Python 3.11, whose Unicode is 14.0.0 (asserted below). The library's classes
are those of Unicode 14; its normalisation is older (Unicode 9), so combining marks and compositions
that came later are left out: LATER below, found by comparing with the library.

usage: unicode_tables.py classes > unicode_classes.c; unicode_tables.py forms > unicode_forms.c
"""
import sys
import unicodedata

assert unicodedata.unidata_version == "14.0.0", unicodedata.unidata_version

# First and last code points of the marks that normalisation does not know.
LATER = [
    (0x7FD, 0x7FD), (0x898, 0x89F), (0x8CA, 0x8D3), (0x9FE, 0x9FE), (0xC3C, 0xC3C), (0xD3B, 0xD3C),
    (0xEBA, 0xEBA), (0x1715, 0x1715), (0x1ABF, 0x1ACE), (0x1DF6, 0x1DFA), (0xA82C, 0xA82C),
    (0x10D24, 0x10D27), (0x10EAB, 0x10EAC), (0x10F46, 0x10F50), (0x10F82, 0x10F85),
    (0x11070, 0x11070), (0x1133B, 0x1133B), (0x1145E, 0x1145E), (0x11839, 0x1183A),
    (0x11938, 0x11938), (0x1193D, 0x1193E), (0x11943, 0x11943), (0x119E0, 0x119E0),
    (0x11A34, 0x11A34), (0x11A47, 0x11A47), (0x11A99, 0x11A99), (0x11D42, 0x11D42),
    (0x11D44, 0x11D45), (0x11D97, 0x11D97), (0x16FF0, 0x16FF1), (0x1E130, 0x1E136),
    (0x1E2AE, 0x1E2AE), (0x1E2EC, 0x1E2EF),
]
HANGUL = range(0xAC00, 0xD7A4)  # composed by arithmetic, not by table
ALL = [c for c in range(0x110000) if not 0xD800 <= c < 0xE000]


def known(c):
    return not any(a <= c <= b for a, b in LATER)


def ranges(points):
    out = []
    for c in points:
        if out and out[-1][1] == c - 1:
            out[-1][1] = c
        else:
            out.append([c, c])
    return out


def decomposition(c):
    d = unicodedata.decomposition(chr(c))
    return [int(x, 16) for x in d.split()] if d and d[0] != "<" and known(c) else None


def table(ctype, name, rows):
    print("\nconst %s %s[] = {" % (ctype, name))
    line = "   "
    for r in rows:
        cell = ", ".join("0x%X" % v if v > 9 else str(v) for v in r)
        cell = "{" + cell + "}" if len(r) > 1 else cell
        if len(line) + len(cell) + 2 > 100:
            print(line)
            line = "   "
        line += " " + cell + ","
    print(line.rstrip(",") + "};")
    print("const size_t n_%s = %d;" % (name, len(rows)))


def classes():
    def wanted(c):
        return ord(unicodedata.category(chr(c))[0])

    rows = []
    for letter, code in (("L", 1), ("N", 2)):
        for a, b in ranges([c for c in ALL if c >= 128 and wanted(c) == ord(letter)]):
            rows.append([a, b, code])
    return sorted(rows)


def digits():
    nd = [c for c in ALL if unicodedata.category(chr(c)) == "Nd"]
    zeros = [c for c in nd if unicodedata.digit(chr(c)) == 0]
    assert nd == [z + i for z in zeros for i in range(10)]
    return [[z] for z in zeros]


def forms():
    singles, marks, attention = [], [], set()
    for c in ALL:
        if unicodedata.combining(chr(c)) and known(c):
            attention.add(c)
            value = unicodedata.combining(chr(c))
            if marks and marks[-1][1] == c - 1 and marks[-1][2] == value:
                marks[-1][1] = c
            else:
                marks.append([c, c, value])
        d = decomposition(c)
        if d is None or c in HANGUL:
            continue
        singles.append([c] + d + [0] * (2 - len(d)))
        if unicodedata.normalize("NFC", chr(c)) != chr(c):
            attention.add(c)
        else:
            attention.add(d[1])
    attention.update(range(0x1161, 0x1176))
    attention.update(range(0x11A8, 0x11C3))
    def kept(c):
        return unicodedata.normalize("NFC", chr(c)) == chr(c)

    composed = [i for i, s in enumerate(singles) if kept(s[0])]
    composed.sort(key=lambda i: singles[i][1:])
    table("struct unicode_range", "unicode_marks", marks)
    table("struct unicode_range", "unicode_attention", [r + [1] for r in ranges(sorted(attention))])
    table("struct unicode_triple", "unicode_decompositions", singles)
    table("uint16_t", "unicode_compositions", [[i] for i in composed])


def main():
    print("/* Made by unicode_tables.py %s from Unicode 14.0.0; do not edit. */" % sys.argv[1])
    print("/* clang-format off */")
    print('#include "text/unicode_tables.h"')
    if sys.argv[1] == "classes":
        table("struct unicode_range", "unicode_classes", classes())
        table("uint32_t", "unicode_zeros", digits())
    else:
        forms()


main()
