"""The peers of `tutelage data`, on the same documents. Needs datatrove[processing]==0.10.1, datasketch, rensa.

python peer_data.py make OUT TEXTS...      documents of about 560 bytes out of JSONL files with a field 'text'
python peer_data.py rules DOCS N OUT       datatrove's Gopher filters on N of them: documents a second, verdicts to OUT
python peer_data.py minhash DOCS           datasketch and rensa, end to end, one copy of each kept
python peer_data.py extract PAGES N        Trafilatura on N pages (field 'html'): pages a second
"""

import gzip
import json
import random
import sys
import time


def lines(path):
    with (gzip.open if path.endswith(".gz") else open)(path, "rt") as file:
        yield from map(json.loads, file)


def perturbed(text, share):
    words = text.split(" ")
    return " ".join(random.choice(words) if random.random() < share else word for word in words)


def make(out, *sources):
    """100,000 documents; three of ten are a document before, of which a known share of words was changed."""
    random.seed(2)
    texts = [text for source in sources for row in lines(source) if len(text := row["text"]) > 700]
    before = []
    with open(out, "w") as file:
        for i in range(100_000):
            if before and random.random() < 0.3:
                text = perturbed(random.choice(before), random.choice([0.0, 0.01, 0.03, 0.06, 0.1]))
            else:
                text = random.choice(texts)
                start = random.randrange(len(text) - 620)
                text = perturbed(text[start : start + random.randrange(480, 620)], 0.5)
                before.append(text)
            file.write(json.dumps({"id": str(i), "text": text}) + "\n")


def rules(path, n, out):
    from datatrove.data import Document
    from datatrove.pipeline.filters import GopherQualityFilter, GopherRepetitionFilter
    from datatrove.utils.text import split_into_parts

    docs = [row for row, _ in zip(lines(path), range(int(n)))]
    verdicts = {}
    for name, rule in [("gopher_quality", GopherQualityFilter()), ("gopher_repetition", GopherRepetitionFilter())]:
        rule.filter(Document(text=docs[0]["text"], id="0"))
        split_into_parts.cache_clear()
        begun = time.time()
        found = [rule.filter(Document(text=row["text"], id=row["id"])) for row in docs]
        print(f"datatrove {name}: {len(docs) / (time.time() - begun):.0f} documents/s")
        verdicts[name] = {row["id"]: "" if verdict is True else verdict[1] for row, verdict in zip(docs, found)}
    json.dump(verdicts, open(out, "w"))


def shingles(text):
    words = text.lower().split()
    return [" ".join(words[i : i + 5]) for i in range(max(1, len(words) - 4))]


def kept(n, pairs):
    parents = list(range(n))

    def root(i):
        while parents[i] != i:
            parents[i] = parents[parents[i]]
            i = parents[i]
        return i

    for a, b in pairs:
        a, b = sorted((root(a), root(b)))
        parents[b] = a
    return sum(root(i) == i for i in range(n))


def minhash(path):
    import datasketch
    import rensa

    begun = time.time()
    docs = [row["text"] for row in lines(path)]
    lsh, pairs = datasketch.MinHashLSH(threshold=0.7, num_perm=128), []
    for i, text in enumerate(docs):
        sketch = datasketch.MinHash(num_perm=128)
        sketch.update_batch([shingle.encode() for shingle in shingles(text)])
        pairs += [(i, other) for other in lsh.query(sketch)]
        lsh.insert(i, sketch)
    left = kept(len(docs), pairs)
    print(f"datasketch: {len(docs) / (time.time() - begun):.0f} documents/s, kept {left}")

    begun = time.time()
    docs = [row["text"] for row in lines(path)]
    # 14 bands, as the threshold gives; 126 hashes, because rensa asks for whole bands.
    lsh, pairs = rensa.RMinHashLSH(threshold=0.7, num_perm=126, num_bands=14), []
    for i, text in enumerate(docs):
        sketch = rensa.RMinHash(num_perm=126, seed=1)
        sketch.update(shingles(text))
        pairs += [(i, other) for other in lsh.query(sketch)]
        lsh.insert(i, sketch)
    left = kept(len(docs), pairs)
    print(f"rensa: {len(docs) / (time.time() - begun):.0f} documents/s, kept {left}")


def extract(path, n):
    import trafilatura

    pages = [row["html"] for row, _ in zip(lines(path), range(int(n)))]
    begun = time.time()
    for page in pages:
        trafilatura.extract(page, favor_precision=True, include_comments=False)
    print(f"trafilatura {trafilatura.__version__}: {len(pages) / (time.time() - begun):.1f} pages/s")


{"make": make, "rules": rules, "minhash": minhash, "extract": extract}[sys.argv[1]](*sys.argv[2:])
