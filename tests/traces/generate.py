"""Losses of 60 steps in PyTorch:  python tests/traces/generate.py [OUT_DIR]

Needs `pip install torch safetensors numpy`. Writes MODEL_METHOD.safetensors: the weights before the first
step under the names of a `state_dict` (of the residual model with DataParallel's prefix), and `trace.rec_loss`,
`trace.cmt_loss` of each step in float64, `single.rec_loss`, `single.cmt_loss` the same in float32, for comparison.
The metadata hold `config`: our options, as JSON. The images are drawn by `image`, which the test has too.
"""
import copy
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

torch.set_num_threads(1)
OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
STEPS, BATCH, SIDE, CODES = 60, 8, 16, 32


def image(i, channels):
    """bytes [channels, SIDE, SIDE]: a disc before a ramp, whole numbers only"""
    h = (i * 2_654_435_761 + 12_345) % 2**32
    y, x = np.mgrid[:SIDE, :SIDE]
    inside = (x - h % SIDE) ** 2 + (y - (h >> 8) % SIDE) ** 2 < 4 + (h >> 16) % 40
    planes = []
    for c in range(channels):
        tone, ramp = 55 + (h >> (5 * c + 3)) % 200, (8 * x + 5 * (c + 1) * y) % 120
        planes.append(np.where(inside, tone, ramp))
    return np.stack(planes)


class Alpha(nn.Module):
    """Linear, batch norm over the rows, ELU; three times"""

    def __init__(self, inputs, outputs, hidden):
        super().__init__()
        for i, (a, b) in enumerate([(inputs, hidden), (hidden, hidden), (hidden, outputs)], 1):
            setattr(self, f"_liner{i}", nn.Linear(a, b))
            setattr(self, f"_norm{i}", nn.BatchNorm1d(b))

    def forward(self, x):
        for i in (1, 2, 3):
            x = F.elu(getattr(self, f"_norm{i}")(getattr(self, f"_liner{i}")(x)))
        return x


class Affine(nn.Module):
    def __init__(self, features, method):
        super().__init__()
        if method != "approach1":
            self.scale = nn.Parameter(torch.zeros(1, features))
            self.bias = nn.Parameter(torch.zeros(1, features))
            return
        for name, value in (("ze_mean", 0.0), ("ze_var", 1.0), ("c_mean", 0.0), ("c_var", 1.0)):
            self.register_buffer(f"running_{name}", torch.full((1, features), value))
        self.register_buffer("running_statistics_initialized", torch.zeros(1))
        self.mlp_std = Alpha(CODES + 2, 1, CODES // 4)

    def forward(self, z, codes):
        """scale and bias of the codebook"""
        if hasattr(self, "scale"):
            return 1 + 2 * self.scale, 2 * self.bias
        with torch.no_grad():
            share = 0.1 if self.running_statistics_initialized.item() else 1.0
            moments = {"ze_mean": z.mean(0), "ze_var": z.var(0, unbiased=False),
                       "c_mean": codes.mean(0), "c_var": codes.var(0, unbiased=False)}
            for name, value in moments.items():
                getattr(self, f"running_{name}").lerp_(value[None], share)
            self.running_statistics_initialized.fill_(1)
        scale = (self.running_ze_var / (self.running_c_var + 1e-8)).sqrt()
        bias = self.running_ze_mean - scale * self.running_c_mean
        return self.mlp_std(torch.cat([codes, scale, bias]).T).T, bias


class Gamma(nn.Module):
    def __init__(self, features, method):
        super().__init__()
        conv = lambda: nn.Conv2d(features, features, (2, 1), groups=features)
        self._layer = Alpha(CODES, 1, features) if method == "approach2" else nn.Sequential(conv(), nn.ReLU(), conv())

    def forward(self, z_q, codes):
        if isinstance(self._layer, Alpha):
            return self._layer(codes.T).T
        rows = torch.stack([codes.mean(0).expand_as(z_q), z_q, codes.var(0, unbiased=False).expand_as(z_q)], -1)
        return self._layer(rows.permute(1, 2, 0)[None])[0, :, 0].T


class Quantizer(nn.Module):
    def __init__(self, features, method):
        super().__init__()
        self.codebook = nn.Embedding(CODES, features)
        self.in_place = method == "ste++"
        self.beta, self.nu = (1.0, 2.0) if self.in_place else (0.97125, 0.0)
        if method in ("approach1", "affine", "ste++"):
            self.affine_transform = Affine(features, method)
        if method in ("approach2", "approach3"):
            self.gamma_learner = Gamma(features, method)
        self.velocity, self.step = 0.0, None

    def forward(self, z):
        shape = z.movedim(1, -1).shape
        z = z.movedim(1, -1).reshape(-1, shape[-1])
        raw = self.codebook.weight
        scale = bias = None
        if hasattr(self, "affine_transform"):
            scale, bias = self.affine_transform(z, raw)
        effective = lambda codes: codes if scale is None else bias + scale * codes
        codes = effective(raw)
        q = torch.cdist(z, codes, compute_mode="donot_use_mm_for_euclid_dist").argmin(-1)
        z_q = codes[q]
        if hasattr(self, "gamma_learner"):
            z_q = z_q + self.gamma_learner(z_q, codes)
        if self.in_place:
            # A step of the codebook on the commitment; the same loss's gradients of the others join the rest.
            others = [p for p in self.parameters() if p is not raw]
            loss = ((z_q - z.detach()) ** 2).mean()
            first, *rest = torch.autograd.grad(loss, [raw, *others], retain_graph=True)
            for p, g in zip(others, rest):
                p.grad = g
            self.velocity = 0.9 * self.velocity + first
            self.step = -10.0 * self.velocity
            z_q = effective(raw + self.step)[q]
        loss = (1 - self.beta) * F.mse_loss(z, z_q.detach()) + self.beta * F.mse_loss(z_q, z.detach())
        out = z + (z_q - z).detach() + self.nu * z_q - (self.nu * z_q).detach()
        return out.reshape(shape).movedim(-1, 1), loss

    @torch.no_grad()
    def commit(self):
        if self.in_place:
            self.codebook.weight += self.step


class Simple(nn.Module):
    RANGE, WEIGHT, LOSS = (-1.0, 1.0), 10.0, staticmethod(F.l1_loss)
    ADAMW = dict(betas=(0.9, 0.999), weight_decay=1e-2)
    CHANNELS, FEATURES = 1, 16

    def __init__(self, method):
        super().__init__()
        conv = lambda a, b: nn.Conv2d(a, b, 3, 1, 1)
        up = lambda: nn.Upsample(scale_factor=2)
        f = self.FEATURES
        self.layers = nn.ModuleList([
            conv(1, 16), nn.MaxPool2d(2), nn.GELU(), conv(16, f), nn.MaxPool2d(2), Quantizer(f, method),
            up(), conv(f, 16), nn.GELU(), up(), conv(16, 1)])

    def forward(self, x):
        for layer in self.layers:
            x = layer(x)
            if isinstance(layer, Quantizer):
                x, loss = x
        return x, loss

    def quantizer(self):
        return self.layers[5]


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.block = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 3, 1, 1), nn.BatchNorm2d(width),
                                   nn.ReLU(), nn.Conv2d(width, width, 1), nn.BatchNorm2d(width))

    def forward(self, x):
        return x + self.block(x)


class Resnet32(nn.Module):
    RANGE, WEIGHT, LOSS = (0.0, 1.0), 5.0, staticmethod(F.mse_loss)
    ADAMW = dict(betas=(0.9, 0.95), weight_decay=1e-4)
    CHANNELS, FEATURES, BLOCKS = 3, 8, 2

    def __init__(self, method):
        super().__init__()
        w, norm, relu = self.FEATURES, nn.BatchNorm2d, nn.ReLU
        self._encoder = nn.Module()
        self._encoder.conv = nn.Sequential(
            nn.Conv2d(3, w // 2, 4, 2, 1), norm(w // 2), relu(), nn.Conv2d(w // 2, w, 4, 2, 1), norm(w), relu(),
            nn.Conv2d(w, w, 3, 1, 1), norm(w), relu())
        self._encoder.res = nn.Sequential(*(Block(w) for _ in range(self.BLOCKS - 1)))
        self._encoder.res_m = Block(w)
        self._vq = Quantizer(w, method)
        self._decoder = nn.Module()
        self._decoder.res = nn.Sequential(*(Block(w) for _ in range(self.BLOCKS)))
        self._decoder.convt = nn.Sequential(
            nn.ConvTranspose2d(w, w, 3, 1, 1), norm(w), relu(), nn.ConvTranspose2d(w, w // 2, 4, 2, 1), norm(w // 2),
            relu(), nn.ConvTranspose2d(w // 2, 3, 4, 2, 1), nn.Sigmoid())

    def forward(self, x):
        z, loss = self._vq(self._encoder.res_m(self._encoder.res(self._encoder.conv(x))))
        return self._decoder.convt(self._decoder.res(z)), loss

    def quantizer(self):
        return self._vq


def train(model, dtype):
    """losses of each step, [STEPS, 2]"""
    model = copy.deepcopy(model).to(dtype).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3, **model.ADAMW)
    low, high = model.RANGE
    losses = []
    for step in range(STEPS):
        images = np.stack([image(i, model.CHANNELS) for i in range(step * BATCH, (step + 1) * BATCH)])
        x = torch.tensor(low + (high - low) * images / 255, dtype=dtype)
        optimizer.zero_grad()
        y, cmt_loss = model(x)
        rec_loss = model.LOSS(y, x)
        loss = rec_loss if model.quantizer().in_place else rec_loss + model.WEIGHT * cmt_loss
        loss.backward()
        model.quantizer().commit()
        optimizer.step()
        losses.append([rec_loss.item(), cmt_loss.item()])
    return np.array(losses)


for Model in (Simple, Resnet32):
    for method in ("vq", "approach1", "approach2", "approach3", "affine", "ste++"):
        torch.manual_seed(1)
        model = Model(method)
        double, single = train(model, torch.float64), train(model, torch.float32)
        name = Model.__name__.lower()
        prefix = "module." if Model is Resnet32 else ""
        tensors = {prefix + k: v.clone() for k, v in model.state_dict().items()}
        for kind, trace in (("trace", double), ("single", single)):
            for i, loss in enumerate(("rec_loss", "cmt_loss")):
                tensors[f"{kind}.{loss}"] = torch.tensor(trace[:, i].copy())
        config = dict(model=name, method=method, lr=1e-3, batch=BATCH,
                      vq=dict(feature_size=Model.FEATURES, num_codes=CODES))
        if Model is Resnet32:
            config["blocks"] = Model.BLOCKS
        file = OUT / f"{name}_{method.replace('+', 'p')}.safetensors"
        save_file(tensors, str(file), {"config": json.dumps(config)})
        print(f"{file.name:28} rec {double[0, 0]:.4f} to {double[-1, 0]:.4f}, cmt {double[0, 1]:.4f} to "
              f"{double[-1, 1]:.4f}; float32 is within {abs(single - double).max():.1e}")
