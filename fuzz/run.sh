#!/usr/bin/env bash
#   fuzz/run.sh [SECONDS [TARGET...]]
# Fuzzes every target, or those that are named, for so many seconds each (900 without an argument), all at once, from the
# fixtures as seeds; says how many inputs each ran. Needs a nightly compiler and `cargo install cargo-fuzz`. Crashes are left in fuzz/artifacts/.
set -euo pipefail
cd "$(dirname "$0")/.."
seconds=${1:-900}
shift || true
all="config safetensors gguf sentencepiece tiktoken chat_template capture documents parquet page rules lists encoder classifier shard"
targets=${*:-$all}
for target in $targets; do cargo +nightly fuzz build "$target"; done
fixtures=crates/tutelage-model/fixtures
seeds=fuzz/corpus/seeds
for target in $all; do mkdir -p $seeds/$target; done
n=0
for file in $fixtures/*/*/config.json $fixtures/*/*/adapter_config.json; do n=$((n + 1)); cp "$file" $seeds/config/$n; done
for file in $fixtures/llama/tied/model.safetensors $fixtures/lora/*/adapter_model.safetensors; do
    n=$((n + 1)); { printf '\0'; cat "$file"; } > $seeds/safetensors/$n
done
{ printf '\1'; cat $fixtures/llama/plain/model.safetensors.index.json; } > $seeds/safetensors/index
cp $fixtures/gguf/quants.gguf $seeds/gguf/
head -c 4000 crates/tutelage-token/fixtures/unigram.model > $seeds/sentencepiece/head
printf 'IQ== 0\nIg== 1\nISI= 2\n' > $seeds/tiktoken/three
printf '{%% for m in messages %%}{{ m.role | upper }}{%% endfor %%}{{ raise_exception("a") }}' > $seeds/chat_template/loop
captures=crates/tutelage-teacher/fixtures/capture
for kind in residual legacy plain halves; do
    { head -c 1 <<< "$kind"; cat $captures/$kind/data_0.parquet; } > $seeds/capture/$kind
done
printf '0{"id":1,"text":"a\\ud83d"}\n' > $seeds/documents/lines
printf '3WARC/1.0\r\nWARC-Type: response\r\nContent-Length: 46\r\n\r\nHTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>\r\n\r\n' \
    > $seeds/documents/warc
{ printf '1'; printf '{"text":"one"}\n' | gzip; printf '{"text":"two"}\n' | gzip; } > $seeds/documents/members
printf '<html><body><nav>x</nav><article><h1>a</h1><p>one two three.</p><ul><li>b</ul><table><tr><td>c</table></article>' \
    > $seeds/page/page
printf '\0the road and the bridge, that have ended...\n- a\n#b {c}' > $seeds/rules/text
printf "The road aren't 123  x\r\n\r\n" > $seeds/encoder/text
cp crates/tutelage-corpus/tests/fixtures/classifier/{plain.bin,softmax.ftz} $seeds/classifier/
cp crates/tutelage-corpus/tests/fixtures/parquet/documents.parquet $captures/contradiction.parquet $seeds/parquet/
for kind in residual legacy plain halves; do cp $captures/$kind/data_0.parquet $seeds/parquet/$kind; done
printf '0{"question":"who was it that built the road and the bridge over the river in that year"}\n' > $seeds/lists/lines
printf '1[{"a":["x"]},"y"]' > $seeds/lists/json
printf '2a,"b,c"\n' > $seeds/lists/table
printf '6example.com # x\n0.0.0.0 ads.example.org\n*.co.uk\n' > $seeds/lists/domains
printf '7bad word\n\xe4\xb8\xad\n' > $seeds/lists/words
{ printf '\1\2\1MMIDIDX\0\0\1\0\0\0\0\0\0\0\10\1\0\0\0\0\0\0\0\2\0\0\0\0\0\0\0'
  printf '\2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0'; } > $seeds/shard/index
pids=()
for target in $targets; do
    mkdir -p fuzz/corpus/$target
    nice cargo +nightly fuzz run $target fuzz/corpus/$target $seeds/$target -- \
        -max_total_time="$seconds" -rss_limit_mb=4096 -timeout=60 -max_len=8192 > fuzz/corpus/$target.log 2>&1 &
    pids+=($!)
done
failed=0
for pid in "${pids[@]}"; do wait "$pid" || failed=1; done
for target in $targets; do
    echo "$target: $(grep -a -E '^(Done|==.*ERROR|SUMMARY)' fuzz/corpus/$target.log | tail -1)"
done
exit $failed
