"""Made kjv.jsonl.gz and shakespeare.jsonl.gz from the two source texts.

    python make.py kjv.txt.gz input.txt

kjv.txt.gz: the King James Version, one verse a line ("Ge1:1 In the beginning ...").
input.txt:  the Tiny Shakespeare selection, speeches separated by blank lines.
"""

import gzip
import json
import re
import sys


def write(path, documents):
    with open(path, "wb") as raw, gzip.GzipFile("", "wb", 9, raw, mtime=0) as out:
        for name, text in documents:
            document = {"id": name, "source": path.split(".")[0], "text": text}
            out.write((json.dumps(document, ensure_ascii=False) + "\n").encode())
    print(path, len(documents), "documents", sum(len(t.encode()) for _, t in documents), "bytes")


chapters = {}
for line in gzip.open(sys.argv[1], "rt", encoding="utf-8"):
    found = re.match(r"(\w+?)(\d+):(\d+) (.*)", line.strip())
    book, chapter, _, verse = found.groups()
    chapters.setdefault(f"{book}{chapter}", []).append(verse)
write("kjv.jsonl.gz", [(name, "\n".join(verses) + "\n") for name, verses in chapters.items()])

# Passages of whole speeches, at least 4,000 characters each.
passages, current = [], ""
for speech in open(sys.argv[2], encoding="utf-8").read().strip().split("\n\n"):
    current += speech + "\n\n"
    if len(current) >= 4000:
        passages.append(current)
        current = ""
if current:
    passages.append(current)
write("shakespeare.jsonl.gz", [(f"shakespeare-{i}", text) for i, text in enumerate(passages)])
