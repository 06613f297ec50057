#!/usr/bin/env bash
# Rules, MinHash and extraction beside their Python peers, in turn, on the same documents.
#
#   PYTHON=python-with-peers benches/data.sh ROUNDS FOLDER TEXTS.jsonl.gz... [PAGES=pages.jsonl]
#
# Documents are made in FOLDER out of the texts. docs/data.md has what was measured.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
rounds=$1 folder=$2
shift 2
cargo build --release --quiet
tutelage=target/release/tutelage
mkdir -p "$folder"
docs=$folder/documents.jsonl
[ -f "$docs" ] || "$python" benches/peer_data.py make "$docs" "$@"
n=$(wc -l < "$docs")
# Seconds of a stage, from the start of the process to its end.
timed() {
    rm -rf "$folder/out"
    local begun
    begun=$(date +%s.%N)
    "$tutelage" data "$@" --out "$folder/out" > /dev/null 2> "$folder/log"
    echo "$(date +%s.%N) - $begun" | bc
}
for round in $(seq "$rounds"); do
    echo "round $round"
    "$python" benches/peer_data.py rules "$docs" 4000 "$folder/verdicts.json"
    for rule in gopher_quality gopher_repetition; do
        seconds=$(timed rules "$docs" --set language=en --set "order=[\"$rule\"]" --set keep_dropped=true)
        echo "tutelage $rule: $(echo "$n / $seconds" | bc) documents/s"
        "$python" - "$folder" "$rule" <<'PYTHON'
import glob, json, sys
folder, rule = sys.argv[1:]
theirs = json.load(open(f"{folder}/verdicts.json"))[rule]
ours = {}
for path in glob.glob(f"{folder}/out/*.jsonl") + glob.glob(f"{folder}/out/dropped/*.jsonl"):
    for row in map(json.loads, open(path)):
        ours[row["id"]] = row.get("dropped", "")
print(f"  {sum(ours[i] != verdict for i, verdict in theirs.items())} of {len(theirs)} verdicts differ")
PYTHON
    done
    "$python" benches/peer_data.py minhash "$docs"
    seconds=$(timed dedup "$docs" --set keep=first)
    echo "tutelage dedup: $(echo "$n / $seconds" | bc) documents/s, $(grep -o 'kept [0-9]*' "$folder/log" | tail -1)"
    if [ -n "${PAGES:-}" ]; then
        "$python" benches/peer_data.py extract "$PAGES" 200
        head -200 "$PAGES" > "$folder/pages.jsonl"
        seconds=$(timed format "$folder/pages.jsonl" --threads 1 --set exact_duplicates=false)
        echo "tutelage format, one thread: $(echo "200 / $seconds" | bc) pages/s"
    fi
done
