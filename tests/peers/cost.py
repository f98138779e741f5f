"""CPU seconds of a training step of `approach1` in PyTorch, to stand beside those of `semivq` on a software adapter.

    python tests/peers/cost.py [--codes 4096] [--batch 16] [--steps 20]

The model is `simple`, images of 28 by 28; one thread; user and system time of the whole process, after five
steps that do not count. The same for `semivq`: the difference of two runs of N and of 5 steps,
`bash -c 'time semivq train --method approach1 --num-codes 4096 --batch 16 --steps N --out DIR'`, over N - 5.
"""

import argparse
import time

import torch
import torch.nn.functional as F
from torch import nn

from presets import FEATURES, Simple


class Network(nn.Module):
    def __init__(self, inputs, hidden):
        super().__init__()
        sizes = [inputs, hidden, hidden, 1]
        layers = []
        for a, b in zip(sizes, sizes[1:]):
            layers += [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ELU()]
        self.layers = nn.Sequential(*layers)

    def forward(self, x):
        return self.layers(x)


class Approach1(nn.Module):
    """Alpha, the learned standard deviation of the codebook; the commitment loss has the weight 10."""

    def __init__(self, codes):
        super().__init__()
        self.codebook = nn.Parameter(torch.randn(codes, FEATURES))
        self.alpha = Network(codes + 2, codes // 4)

    def forward(self, z):
        rows = z.reshape(-1, FEATURES)
        with torch.no_grad():
            scale = (rows.var(0) / (self.codebook.var(0) + 1e-8)).sqrt()
            bias = rows.mean(0) - scale * self.codebook.mean(0)
        alpha = self.alpha(torch.cat([self.codebook, scale[None], bias[None]]).T).T
        book = bias + alpha * self.codebook
        q = torch.cdist(rows.detach(), book.detach()).argmin(1)
        codes = book[q].reshape(z.shape)
        beta = 0.97125
        loss = (1 - beta) * F.mse_loss(z, codes.detach()) + beta * F.mse_loss(codes, z.detach())
        return z + (codes - z).detach(), q, 10.0 * loss


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--codes", type=int, default=4096)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=20)
    args = parser.parse_args()
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = Simple(Approach1(args.codes))
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    x = torch.rand(args.batch, 1, 28, 28) * 2 - 1
    for step in range(5 + args.steps):
        if step == 5:
            began = time.process_time()
        y, _, loss = model(x)
        optimizer.zero_grad()
        (F.l1_loss(y, x) + loss).backward()
        optimizer.step()
    print(f"{(time.process_time() - began) / args.steps:.4f} CPU seconds a step")


if __name__ == "__main__":
    main()
