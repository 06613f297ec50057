"""Prompts and texts by tutelage, transformers and llama.cpp in turn, on the same weights and the same number of threads.

    pip install torch transformers llama-cpp-python && python scripts/compare_generate.py MODEL_DIR ROUNDS MODEL.gguf...

Run in the project's folder after `cargo build --release`, on an idle machine. Each MODEL.gguf holds the weights of MODEL_DIR in a type
that is to be compared (`tutelage convert MODEL_DIR --out MODEL.gguf --dtype bf16`). Prints medians over rounds.
"""

import json
import os
import statistics
import subprocess
import sys
import time

import llama_cpp
import torch
from transformers import AutoModelForCausalLM

THREADS = os.cpu_count()
CONTEXT, BATCHES, STEPS = 512, (1, 8, 32), 12
torch.set_num_threads(THREADS)


def ours(folder, dtype):
    flags = [f"--batch={b}" for b in BATCHES]
    command = ["target/release/tutelage", "bench", "generate", "--model", folder, "--dtype", dtype, "--context", str(CONTEXT), *flags, "--json"]
    found = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    out = {("prompt", 1): found["generate"]["prefill"][0]["tokens_per_second"]}
    out |= {("texts", d["batch"]): d["tokens_per_second"] for d in found["generate"]["decode"]}
    out[("read ceiling, GB/s", 0)] = found["ceilings"]["read_bytes_per_second"] / 1e9
    return out


def transformers(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.bfloat16).eval()
    out = {}
    with torch.no_grad():
        for batch in BATCHES:
            ids = torch.randint(3, 1000, (batch, CONTEXT))
            model(ids, use_cache=True, logits_to_keep=1)
            begun = time.perf_counter()
            found = model(ids, use_cache=True, logits_to_keep=1)
            if batch == 1:
                out["prompt", 1] = CONTEXT / (time.perf_counter() - begun)
            cache, last, times = found.past_key_values, found.logits[:, -1:].argmax(-1), []
            for _ in range(STEPS):
                begun = time.perf_counter()
                found = model(last, past_key_values=cache, use_cache=True)
                last = found.logits[:, -1:].argmax(-1)
                times.append(time.perf_counter() - begun)
            out["texts", batch] = batch / statistics.median(times[2:])
    return out


def llama(path):
    out = {}
    model = llama_cpp.llama_model_load_from_file(path.encode(), llama_cpp.llama_model_default_params())
    for batch in BATCHES:
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = batch * (CONTEXT + STEPS + 8)
        params.n_batch = params.n_ubatch = 512
        params.n_threads = params.n_threads_batch = THREADS
        params.n_seq_max, params.kv_unified = batch, True
        context = llama_cpp.llama_init_from_model(model, params)
        memory = llama_cpp.llama_get_memory(context)
        one = llama_cpp.llama_batch_init(512, 0, batch)
        begun = time.perf_counter()
        one.n_tokens = CONTEXT
        for i in range(CONTEXT):
            one.token[i], one.pos[i], one.n_seq_id[i], one.seq_id[i][0], one.logits[i] = 3 + i, i, 1, 0, i == CONTEXT - 1
        assert llama_cpp.llama_decode(context, one) == 0
        llama_cpp.llama_synchronize(context)
        if batch == 1:
            llama_cpp.llama_memory_clear(memory, True)
            begun = time.perf_counter()
            assert llama_cpp.llama_decode(context, one) == 0
            llama_cpp.llama_synchronize(context)
            out["prompt", 1] = CONTEXT / (time.perf_counter() - begun)
        for sequence in range(1, batch):
            llama_cpp.llama_memory_seq_cp(memory, 0, sequence, -1, -1)
        times = []
        for step in range(STEPS):
            begun = time.perf_counter()
            one.n_tokens = batch
            for i in range(batch):
                one.token[i], one.pos[i], one.n_seq_id[i], one.seq_id[i][0], one.logits[i] = 5 + step, CONTEXT + step, 1, i, True
            assert llama_cpp.llama_decode(context, one) == 0
            llama_cpp.llama_synchronize(context)
            times.append(time.perf_counter() - begun)
        out["texts", batch] = batch / statistics.median(times[2:])
        llama_cpp.llama_batch_free(one)
        llama_cpp.llama_free(context)
    llama_cpp.llama_model_free(model)
    return out


folder, rounds, *paths = sys.argv[1:]
rounds = int(rounds)
names = {f"ours {dtype}": lambda dtype=dtype: ours(folder, dtype) for dtype in ("bf16", "int8", "int4")}
names["transformers bf16"] = lambda: transformers(folder)
names |= {f"llama.cpp {os.path.basename(path)}": lambda path=path: llama(path) for path in paths}
found = {name: [] for name in names}
for _ in range(rounds):
    for name, measure in names.items():
        found[name].append(measure())
median = {name: {key: statistics.median(r[key] for r in all) for key in all[0]} for name, all in found.items()}
print(f"{THREADS} threads, prompts of {CONTEXT} tokens and texts after them, tokens/s, medians of {rounds} rounds")
keys = list(median["transformers bf16"])
print(" " * 50 + "".join(f"{kind} {n}".rjust(12) for kind, n in keys))
for name, own in median.items():
    print(name.ljust(50) + "".join(f"{own[key]:12.1f}" for key in keys))
read = median["ours bf16"]["read ceiling, GB/s", 0]
print(f"memory is read at {read:.1f} GB/s at most")
