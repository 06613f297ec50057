"""Beam search by tutelage and transformers on the same weights in f32: the same texts and scores.

    pip install torch transformers && python scripts/compare_beams.py MODEL_DIR

Run in the project's folder after `cargo build --release`.
"""

import json
import subprocess
import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

folder = sys.argv[1]
model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
tokenizer = AutoTokenizer.from_pretrained(folder)
same = worst = total = 0
for prompt in ["The capital of France is", "Once upon a time", "def add(a, b):", "Water is"]:
    for beams, penalty in [(4, 1.0), (3, 0.0), (5, 2.0)]:
        command = ["target/release/tutelage", "generate", folder, "--dtype", "f32", "--prompt", prompt, "--max-tokens", "24", "--json",
                   "--beams", str(beams), "--samples", str(beams), "--length-penalty", str(penalty)]
        ours = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["samples"]
        ids = tokenizer(prompt, return_tensors="pt", add_special_tokens=False).input_ids
        with torch.no_grad():
            found = model.generate(ids, num_beams=beams, num_return_sequences=beams, max_new_tokens=24, do_sample=False,
                                   length_penalty=penalty, repetition_penalty=1.0, output_scores=True, return_dict_in_generate=True)
        texts = tokenizer.batch_decode(found.sequences[:, ids.shape[1]:], skip_special_tokens=True)
        for own, text, score in zip(ours, texts, found.sequences_scores.tolist(), strict=True):
            total += 1
            same += own["text"] == text
            worst = max(worst, abs(own["score"] - score)) if own["text"] == text else worst
            if own["text"] != text:
                print(f"{prompt!r} {beams} {penalty}: {own['text']!r} {own['score']:.4f}, transformers {text!r} {score:.4f}")
print(f"{same} of {total} beams are the same, scores within {worst:.1e}")
