#!/usr/bin/env bash
# Whole training steps of ours and of PyTorch in turn, several times; prints medians and ratios.
# usage: PYTHON=path/to/python benches/compare.sh [ROUNDS]   (python with torch==2.15.0; about a minute a round and row)
set -euo pipefail
cd "$(dirname "$0")/.."
rounds=${1:-3}
python=${PYTHON:-python3}
cargo build --release --quiet
declare -A sizes=(
    [s16m]=384,6,6,2,1024,8192,8,256 [s16m-v92k]=384,6,6,2,1024,92544,8,256
    [s40m]=512,8,8,4,1408,16000,4,512 [s110m]=768,12,12,4,2048,32000,2,1024
    [s110m-8k]=768,12,12,4,2048,32000,1,8192
)
for row in ${ROWS:-s16m:none s16m-v92k:none s16m:live s16m-v92k:live s40m:none s110m:none s110m-8k:none}; do
    shape=${row%%:*} teacher=${row##*:}
    for _ in $(seq "$rounds"); do
        ./target/release/tutelage bench step --shape "$shape" --teacher "$teacher" --repeats 5 --json | tr -d '\n'
        echo
        "$python" benches/peer_step.py "${sizes[$shape]}" "$teacher" 5 2>/dev/null | tail -1
    done | "$python" -c '
import json, statistics, sys
rows = [json.loads(line) for line in sys.stdin if line.strip()]
ours = [r["step"] for r in rows if "step" in r]
peer = [r for r in rows if "step" not in r]
median = lambda rs, key: statistics.median(r[key] for r in rs)
a, b = median(ours, "tokens_per_second"), median(peer, "tokens_per_second")
m, n = median(ours, "peak_memory_bytes") / 1e6, median(peer, "peak_memory_bytes") / 1e6
print(f"| {sys.argv[1]} | {a:.0f} tokens/s, {m:.0f} MB | {b:.0f} tokens/s, {n:.0f} MB | {a / b:.2f} x | {m / n:.2f} |")
' "$row"
done
