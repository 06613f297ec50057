"""Writes a 7B-shaped Llama folder in bf16 with random weights, 13.5 GB in three shards, for trying what a large model takes.

    pip install numpy && python scripts/seven_b.py DIR TOKENIZER_FOLDER

Copies tokenizer.json and tokenizer_config.json of TOKENIZER_FOLDER, whose vocabulary is made the model's. Needs 14 GB of
disk and little memory: rows are drawn a block at a time.
"""

import json
import pathlib
import shutil
import sys

import numpy as np

out, tokenizer = map(pathlib.Path, sys.argv[1:3])
out.mkdir(parents=True)
vocabulary = len(json.loads((tokenizer / "tokenizer.json").read_text())["model"]["vocab"])
D, D_FF, LAYERS, HEADS = 4096, 11008, 32, 32
config = {
    "architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": vocabulary, "hidden_size": D,
    "intermediate_size": D_FF, "num_hidden_layers": LAYERS, "num_attention_heads": HEADS, "num_key_value_heads": HEADS,
    "max_position_embeddings": 4096, "rms_norm_eps": 1e-5, "rope_theta": 10000.0, "hidden_act": "silu",
    "tie_word_embeddings": False, "torch_dtype": "bfloat16", "bos_token_id": 1, "eos_token_id": 2,
}
(out / "config.json").write_text(json.dumps(config, indent=2))
for name in ("tokenizer.json", "tokenizer_config.json"):
    shutil.copy(tokenizer / name, out / name)
arrays = {"model.embed_tokens.weight": [vocabulary, D], "lm_head.weight": [vocabulary, D], "model.norm.weight": [D]}
for i in range(LAYERS):
    layer = f"model.layers.{i}."
    arrays |= {layer + f"self_attn.{x}_proj.weight": [D, D] for x in "qkvo"}
    arrays |= {layer + f"mlp.{x}_proj.weight": [D_FF, D] for x in ("gate", "up")}
    arrays |= {layer + "mlp.down_proj.weight": [D, D_FF]}
    arrays |= {layer + f"{x}_layernorm.weight": [D] for x in ("input", "post_attention")}
names = sorted(arrays)
shards = [names[i::3] for i in range(3)]
# 64 MB of random numbers, of which each array takes other parts.
noise = (np.random.default_rng(0).standard_normal(1 << 25, dtype=np.float32) * 0.02).view(np.uint32)
noise = (noise >> 16).astype(np.uint16)
ones = np.full(D, 0x3F80, np.uint16)
weight_map, total = {}, 0
for k, shard in enumerate(shards):
    file = f"model-{k + 1:05}-of-00003.safetensors"
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name in shard:
        size = 2 * int(np.prod(arrays[name]))
        header[name] = {"dtype": "BF16", "shape": arrays[name], "data_offsets": [offset, offset + size]}
        offset += size
        weight_map[name] = file
    total += offset
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(out / file, "wb") as f:
        f.write(len(text).to_bytes(8, "little") + text)
        for i, name in enumerate(shard):
            left = int(np.prod(arrays[name]))
            if len(arrays[name]) == 1:
                f.write(ones.tobytes())
                continue
            at = (i * 7919 * 4096) % len(noise)
            while left:
                part = noise[at : at + left]
                f.write(part.tobytes())
                left, at = left - len(part), 0
index = {"metadata": {"total_size": total}, "weight_map": weight_map}
(out / "model.safetensors.index.json").write_text(json.dumps(index))
print(f"{out}: {total / 2e9:.2f} G weights, {total / 1e9:.1f} GB")
