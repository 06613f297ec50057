#!/usr/bin/env bash
# Copies found by a cluster on this machine: a scheduler and two executors of our own program, one of which is killed while it works.
# The kept documents are compared, byte by byte, with those of the embedded path.
#
#   tests/cluster/run.sh PROGRAM [DOCUMENTS]
#
# PROGRAM is built with --features cluster. Everything listens on the loopback.
set -euo pipefail
program=$1 n=${2:-60000}
folder=$(mktemp -d)
pids=()
trap 'kill "${pids[@]}" 2> /dev/null || true; rm -rf "$folder"' EXIT
python3 - "$folder/documents.jsonl" "$n" <<'PYTHON'
import json, random, sys
path, n = sys.argv[1], int(sys.argv[2])
random.seed(4)
words = [f"word{i}" for i in range(20000)]
texts = []
with open(path, "w") as out:
    for i in range(n):
        if texts and random.random() < 0.3:
            text = random.choice(texts).split()
            for _ in range(random.randrange(4)):
                text[random.randrange(len(text))] = random.choice(words)
        else:
            text = random.choices(words, k=80)
        texts.append(" ".join(text))
        out.write(json.dumps({"id": str(i), "text": texts[-1]}) + "\n")
PYTHON
cd "$folder"
port=$((20000 + RANDOM % 20000))
"$program" data dedup documents.jsonl --out embedded > /dev/null 2>&1
"$program" data dedup documents.jsonl --out local --set engine=datafusion 2>&1 | grep -E 'pairs|kept'
diff -r -x .lock embedded local && echo "in one process: the same documents"
"$program" data cluster scheduler --port "$port" > scheduler.log 2>&1 & pids+=($!)
for i in 1 2; do
    "$program" data cluster executor --scheduler "127.0.0.1:$port" --port $((port + 10 * i)) --work "work$i" > "executor$i.log" 2>&1 &
    pids+=($!)
done
sleep 8
"$program" data dedup documents.jsonl --out cluster --set "scheduler=127.0.0.1:$port" 2>&1 | grep -E 'pairs|kept'
diff -r -x .lock embedded cluster && echo "two executors: the same documents"
"$program" data dedup documents.jsonl --out killed --set "scheduler=127.0.0.1:$port" > killed.log 2>&1 & asked=$!
# Once tasks have left something to exchange, one of the executors is no longer there.
until [ -n "$(find work2 -name '*.arrow' -newer cluster/manifest.json -print -quit)" ] || ! kill -0 "$asked" 2> /dev/null; do sleep 0.05; done
kill -9 "${pids[2]}" && echo "an executor was killed"
wait "$asked" || { cat killed.log; exit 1; }
grep -E 'pairs|kept' killed.log
diff -r -x .lock embedded killed && echo "one of two executors killed: the same documents"
