"""llama.cpp and ours answer the same greedy prompts from the same GGUF file.

    needs: llama-cpp-python==0.3.36 openai==3.57.0
"""

import os

import llama_cpp
import openai

PROMPTS = [
    "The capital of France is",
    "Water freezes at",
    "Once upon a time, there was a little",
    "def fibonacci(n):\n",
]
N = 12

theirs = llama_cpp.Llama(os.environ["TUTELAGE_MODEL"], n_ctx=512, verbose=False)
client = openai.OpenAI(base_url=f"{os.environ['TUTELAGE_URL']}/v1", api_key="any")

same = 0
for prompt in PROMPTS:
    ids = theirs.tokenize(prompt.encode(), add_bos=False)
    expected = theirs.create_completion(ids, max_tokens=N, temperature=0)["choices"][0]["text"]
    found = client.completions.create(model="smollm2", prompt=ids, max_tokens=N, temperature=0, logprobs=2).choices[0]
    same += found.text == expected
    if found.text != expected:
        # llama.cpp rounds activations to 8 bits beside 4-bit weights: only where two tokens are nearly equal may it differ.
        shared = os.path.commonprefix([found.text, expected])
        at = next(i for i, start in enumerate(found.logprobs.text_offset) if start + len(found.logprobs.tokens[i]) > len(shared))
        first, second = sorted(found.logprobs.top_logprobs[at].values(), reverse=True)[:2]
        assert first - second < 0.5, (prompt, found.text, expected, found.logprobs.top_logprobs[at])
        print(f"differ where two tokens are {first - second:.2f} nats apart: {prompt!r}: {found.text!r} and {expected!r}")
assert same >= len(PROMPTS) - 1, same
print(f"llama.cpp: {same} of {len(PROMPTS)} greedy texts of {N} tokens are the same")
