"""Continues texts by llama.cpp and by tutelage with the same GGUF files, greedily, and compares.

    pip install llama-cpp-python && python scripts/compare_llama_cpp.py MODEL.gguf...

Run in the project's folder after `cargo build --release`. Prints both texts where they differ, and fails then. In q8_0
llama.cpp rounds activations to 8 bits too, so that near-ties may fall the other way.
"""

import json
import subprocess
import sys

import llama_cpp

PROMPTS = ["The sea is", "Once upon a time,", "def fibonacci(n):", "你好"]
N = 24
different = 0
for path in sys.argv[1:]:
    model = llama_cpp.Llama(path, n_ctx=256, verbose=False)
    for prompt in PROMPTS:
        adds_bos = model.metadata.get("tokenizer.ggml.add_bos_token") == "true"
        model.reset()
        ids = []
        for token in model.generate(model.tokenize(prompt.encode(), add_bos=adds_bos), temp=0.0, repeat_penalty=1.0):
            if token == model.token_eos() or len(ids) == N:
                break
            ids.append(token)
        theirs = model.detokenize(ids).decode(errors="replace")
        command = ["target/release/tutelage", "generate", path, "--prompt", prompt, "--temperature", "0", "--max-tokens", str(N), "--json"]
        ours = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["text"]
        print(f"{path} {prompt!r}: {'the same' if ours == theirs else f'{theirs!r} where ours is {ours!r}'}")
        different += ours != theirs
sys.exit(different > 0)
