"""Trains the model `simple` around the layers of vector-quantize-pytorch as they come, on MNIST-like images:
what the presets of `semivq` are held against.

    python tests/peers/presets.py DIR [--steps 400] [--batch 64] [--lr 1e-3] [--seeds 0,1,2] [--layers ema,fsq]

DIR has the four IDX files of MNIST, gzip. Needs torch, numpy and vector-quantize-pytorch. Prints, for each
layer, mean (least to greatest) over the seeds of the test images' MSE, on the scale [-1, 1], of their
perplexity and of the share of the codes that they use.
"""

import argparse
import gzip
import pathlib

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from vector_quantize_pytorch import FSQ, SimVQ, VectorQuantize

FEATURES = 32
CODES = 256
# The levels that `semivq` has for 256 codes.
LEVELS = [8, 6, 5]

LAYERS = {
    "ema": lambda: VectorQuantize(dim=FEATURES, codebook_size=CODES, rotation_trick=False),
    "rotation": lambda: VectorQuantize(dim=FEATURES, codebook_size=CODES, rotation_trick=True),
    "rotation-learnable": lambda: VectorQuantize(
        dim=FEATURES, codebook_size=CODES, rotation_trick=True, learnable_codebook=True, ema_update=False
    ),
    "ema-threshold": lambda: VectorQuantize(
        dim=FEATURES, codebook_size=CODES, rotation_trick=False, threshold_ema_dead_code=2
    ),
    "cosine": lambda: VectorQuantize(dim=FEATURES, codebook_size=CODES, use_cosine_sim=True),
    "simvq": lambda: SimVQ(dim=FEATURES, codebook_size=CODES),
    "fsq": lambda: FSQ(LEVELS, dim=FEATURES),
}


def images(path):
    data = gzip.decompress(path.read_bytes())
    count, rows, columns = (int.from_bytes(data[4 + 4 * i : 8 + 4 * i], "big") for i in range(3))
    pixels = np.frombuffer(data, np.uint8, offset=16).reshape(count, 1, rows, columns)
    return torch.from_numpy(pixels.copy()).float() / 127.5 - 1.0


class Simple(nn.Module):
    """The README's model; the layer between works on `[B, N, F]`."""

    def __init__(self, layer):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.MaxPool2d(2),
            nn.GELU(),
            nn.Conv2d(16, FEATURES, 3, padding=1),
            nn.MaxPool2d(2),
        )
        self.layer = layer
        self.decoder = nn.Sequential(
            nn.Upsample(scale_factor=2),
            nn.Conv2d(FEATURES, 16, 3, padding=1),
            nn.GELU(),
            nn.Upsample(scale_factor=2),
            nn.Conv2d(16, 1, 3, padding=1),
        )

    def forward(self, x):
        z = self.encoder(x)
        rows = z.flatten(2).transpose(1, 2)
        out, q, *loss = self.layer(rows)
        return self.decoder(out.transpose(1, 2).reshape(z.shape)), q, sum(l.sum() for l in loss)


def run(layer, data, args, seed):
    train, test = data
    torch.manual_seed(seed)
    model = Simple(LAYERS[layer]())
    optimizer = torch.optim.AdamW(model.parameters(), lr=args.lr)
    order = torch.randperm(len(train))
    at = 0
    for _ in range(args.steps):
        if at + args.batch > len(train):
            order, at = torch.randperm(len(train)), 0
        x = train[order[at : at + args.batch]]
        at += args.batch
        y, _, loss = model(x)
        optimizer.zero_grad()
        (F.l1_loss(y, x) + loss).backward()
        optimizer.step()
    model.eval()
    squares, codes = 0.0, []
    with torch.no_grad():
        for x in test.split(100):
            y, q, _ = model(x)
            squares += (y.clamp(-1, 1) - x).square().sum().item()
            codes.append(q.flatten())
    counts = torch.bincount(torch.cat(codes).long(), minlength=CODES).double()
    p = counts / counts.sum()
    perplexity = torch.exp(-(p * torch.log(p + 1e-7)).sum()).item()
    all_codes = np.prod(LEVELS) if layer == "fsq" else CODES
    return squares / test.numel(), perplexity, 100.0 * (counts > 0).sum().item() / all_codes


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("dir", type=pathlib.Path)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--layers", default=",".join(name for name in LAYERS if "-" not in name))
    args = parser.parse_args()
    names = list(LAYERS) if args.layers == "all" else args.layers.split(",")
    data = [images(args.dir / f"{part}-images-idx3-ubyte.gz") for part in ("train", "t10k")]
    for name in names:
        found = np.array([run(name, data, args, int(seed)) for seed in args.seeds.split(",")])
        text = [
            f"{what} {mean:.3f} ({least:.3f} to {most:.3f})"
            for what, mean, least, most in zip(
                ("mse", "perplexity", "active %"), found.mean(0), found.min(0), found.max(0)
            )
        ]
        print(f"{name:20} {'  '.join(text)}", flush=True)


if __name__ == "__main__":
    main()
