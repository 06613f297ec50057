#!/usr/bin/env python3
"""A training step in PyTorch, bf16 autocast and torch.compile, at any of our shapes; the peer of `tutelage bench step`.

usage: peer_step.py D_MODEL,N_LAYERS,N_HEADS,N_KV_HEADS,D_FF,VOCAB_SIZE,BATCH_SIZE,SEQ_LEN [none|live] [REPEATS]
needs: pip install torch==2.15.0 numpy
PEER_F32=1 leaves autocast out: what a machine without bf16 products is best used with.
Prints one line of JSON: tokens_per_second (of the median step) and peak_memory_bytes.
"""
import json, os, resource, sys, time
import torch
import torch.nn.functional as F
from torch import nn

sizes = [int(n) for n in sys.argv[1].split(",")]
teacher_kind = sys.argv[2] if len(sys.argv) > 2 else "none"
repeats = int(sys.argv[3]) if len(sys.argv) > 3 else 9
d_model, n_layers, n_heads, n_kv_heads, d_ff, vocab_size, batch_size, seq_len = sizes
in_f32 = os.environ.get("PEER_F32") == "1"
torch.set_num_threads(2)
torch.manual_seed(0)


class Norm(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return F.rms_norm(x, self.weight.shape, self.weight, 1e-5)


def linear(inputs, outputs):
    return nn.Linear(inputs, outputs, bias=False)


def angles(d_head):
    freq = 10000.0 ** (-torch.arange(0, d_head, 2).float() / d_head)
    table = torch.outer(torch.arange(seq_len).float(), freq).repeat(1, 2)
    return table.cos(), table.sin()


def rotate(x, cos, sin):
    low, high = x.chunk(2, dim=-1)
    return x * cos.to(x.dtype) + torch.cat([-high, low], dim=-1) * sin.to(x.dtype)


class Block(nn.Module):
    def __init__(self, d, heads, kv_heads, ff):
        super().__init__()
        self.heads, self.kv_heads, self.d_head = heads, kv_heads, d // heads
        self.norm1, self.norm2 = Norm(d), Norm(d)
        self.qkv = linear(d, (heads + 2 * kv_heads) * self.d_head)
        self.out, self.gate, self.up, self.down = linear(d, d), linear(d, ff), linear(d, ff), linear(ff, d)

    def split(self, x, heads):
        return x.view(batch_size, seq_len, heads, self.d_head).transpose(1, 2)

    def forward(self, x, cos, sin):
        wide, narrow = self.heads * self.d_head, self.kv_heads * self.d_head
        q, k, v = self.qkv(self.norm1(x)).split([wide, narrow, narrow], dim=-1)
        q = rotate(self.split(q, self.heads), cos, sin)
        k = rotate(self.split(k, self.kv_heads), cos, sin)
        y = F.scaled_dot_product_attention(q, k, self.split(v, self.kv_heads), is_causal=True, enable_gqa=True)
        x = x + self.out(y.transpose(1, 2).reshape(batch_size, seq_len, wide))
        h = self.norm2(x)
        return x + self.down(F.silu(self.gate(h)) * self.up(h))


class Model(nn.Module):
    def __init__(self, factor):
        super().__init__()
        d = factor * d_model
        self.embedding = nn.Embedding(vocab_size, d)
        blocks = [Block(d, factor * n_heads, factor * n_kv_heads, factor * d_ff) for _ in range(n_layers)]
        self.blocks, self.norm, self.head = nn.ModuleList(blocks), Norm(d), linear(d, vocab_size)
        self.cos, self.sin = angles(d_model // n_heads)

    def forward(self, ids):
        x = self.embedding(ids)
        for block in self.blocks:
            x = block(x, self.cos, self.sin)
        return self.head(self.norm(x)).float().view(-1, vocab_size)


student = Model(1)
teacher = Model(2).eval().requires_grad_(False) if teacher_kind == "live" else None
optimizer = torch.optim.AdamW(student.parameters(), lr=1e-3, fused=True)
ids = torch.randint(0, vocab_size, (batch_size, seq_len))
labels = torch.randint(0, vocab_size, (batch_size * seq_len,))


def objective(ids, labels):
    if teacher is None:
        return F.cross_entropy(student(ids), labels)
    with torch.no_grad():
        target = F.log_softmax(teacher(ids), dim=-1)
    log_probs = F.log_softmax(student(ids), dim=-1)
    kl = F.kl_div(log_probs, target, log_target=True, reduction="batchmean")
    return 0.1 * F.nll_loss(log_probs, labels) + 0.9 * kl


compiled = torch.compile(objective)


def step():
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=not in_f32):
        loss = compiled(ids, labels)
    loss.backward()
    torch.nn.utils.clip_grad_norm_(student.parameters(), 1.0)
    optimizer.step()


for _ in range(3):
    step()
seconds = []
for _ in range(repeats):
    begun = time.perf_counter()
    step()
    seconds.append(time.perf_counter() - begun)
median = sorted(seconds)[len(seconds) // 2]
peak = 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"tokens_per_second": batch_size * seq_len / median, "peak_memory_bytes": peak}))
