"""A case of the prior, a causal transformer, from PyTorch:  python tests/peers/generate_prior.py [OUT_DIR]

Needs `pip install torch safetensors`. Writes prior.safetensors, computed in float64 by PyTorch's own layers: tensors in.tokens,
param.*, out.losses (nats of each code), out.loss, grad.* and, after three steps of AdamW, after.*; `config` in the metadata.
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

torch.set_default_dtype(torch.float64)
torch.manual_seed(7)
OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
MAPS = [dict(shape=[2, 3], codes=7), dict(shape=[1, 4], codes=5)]
WIDTH, HEADS, BLOCKS, BATCH, LR = 24, 3, 2, 3, 1e-2
LENGTHS = [m["shape"][0] * m["shape"][1] for m in MAPS]
LENGTH, TOKENS = sum(LENGTHS), sum(m["codes"] for m in MAPS)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.proj = nn.Linear(WIDTH, 3 * WIDTH, bias=False), nn.Linear(WIDTH, WIDTH)
        self.fc1, self.fc2 = nn.Linear(WIDTH, 4 * WIDTH), nn.Linear(4 * WIDTH, WIDTH)

    def forward(self, x):
        b, l, _ = x.shape
        q, k, v = self.qkv(self.norm1(x)).view(b, l, 3, HEADS, WIDTH // HEADS).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True)
        x = x + self.proj(y.transpose(1, 2).reshape(b, l, WIDTH))
        return x + self.fc2(F.gelu(self.fc1(self.norm2(x))))


class Prior(nn.Module):
    def __init__(self):
        super().__init__()
        self.token, self.place = nn.Embedding(TOKENS + 1, WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(BLOCKS))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, TOKENS)

    def forward(self, tokens):
        start = torch.full((len(tokens), 1), TOKENS)
        x = self.token(torch.cat([start, tokens[:, :-1]], 1)) + self.place.weight
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))


net = Prior()
for name, p in net.named_parameters():
    # Norms are drawn as one and zero: whatever takes them for that would not be seen.
    p.data += 0.3 * torch.randn_like(p) if "norm" in name else 0.1 * torch.randn_like(p)
allowed = torch.zeros(LENGTH, TOKENS, dtype=torch.bool)
tokens, position, first = [], 0, 0
for map_, length in zip(MAPS, LENGTHS):
    allowed[position:position + length, first:first + map_["codes"]] = True
    tokens.append(first + torch.randint(map_["codes"], (BATCH, length)))
    position, first = position + length, first + map_["codes"]
tokens = torch.cat(tokens, 1)


def losses():
    logits = net(tokens).masked_fill(~allowed, -torch.inf)
    return F.cross_entropy(logits.flatten(0, 1), tokens.flatten(), reduction="none").view(BATCH, LENGTH)


tensors = {f"param.{n}": p.detach().clone() for n, p in net.named_parameters()}
optimizer = torch.optim.AdamW(net.parameters(), lr=LR)
for step in range(3):
    each = losses()
    optimizer.zero_grad()
    each.mean().backward()
    if step == 0:
        tensors |= {"out.losses": each, "out.loss": each.mean()[None]}
        tensors |= {f"grad.{n}": p.grad.clone() for n, p in net.named_parameters()}
    optimizer.step()
tensors |= {f"after.{n}": p for n, p in net.named_parameters()}
tensors = {n: t.detach().to(torch.float32).contiguous().clone() for n, t in tensors.items()}
tensors["in.tokens"] = tokens.to(torch.int32).contiguous()
config = dict(maps=MAPS, width=WIDTH, heads=HEADS, blocks=BLOCKS, lr=LR)
save_file(tensors, str(OUT / "prior.safetensors"), {"config": json.dumps(config)})
