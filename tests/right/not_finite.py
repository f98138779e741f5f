"""What PyTorch makes of one NaN, inf or -inf in the input:  python tests/right/not_finite.py > tests/right/not_finite.txt

Needs `pip install torch`; the file there was made by PyTorch 2.15, in float32. A case is a line `# OPERATION VALUE` and its
tensors: in.*, param.* and buffer.* go in, out.* comes out, grad.* is that of sum(y * grad_y) where there is one.
"""
import math

import torch
from torch import nn
from torch.nn import functional as F


def values(*shape, step=7, of=11):
    """small numbers, no two neighbours alike"""
    count = math.prod(shape)
    return torch.tensor([(step * i % of - of // 2) / 4 for i in range(count)]).reshape(shape)


def say(name, tensor):
    shape = ",".join(str(s) for s in tensor.shape)
    print(name, shape, *(f"{v:.8g}" for v in tensor.detach().flatten().tolist()))


def case(name, inputs, outputs, module=None, buffers=None, backward=True):
    """`outputs` makes the named outputs, y for one, of the named inputs, each of which gets a gradient."""
    print("#", name)
    for n, t in inputs.items():
        say(f"in.{n}", t)
    for n, t in (buffers or {}).items():
        say(f"buffer.{n}", t)
    leaves = {n: t.clone().requires_grad_() for n, t in inputs.items()}
    out = outputs(*leaves.values(), *(buffers or {}).values())
    for n, t in module.named_parameters() if module else ():
        say(f"param.{n}", t)
    for n, t in out.items():
        say(f"out.{n}", t)
    if not backward:
        return
    grad_y = values(*out["y"].shape, step=5, of=13) + 0.125
    say("grad_y", grad_y)
    out["y"].backward(grad_y)
    for n, t in leaves.items():
        say(f"grad.{n}", t.grad)
    for n, t in module.named_parameters() if module else ():
        # A bias before a batch norm in training has no effect: exactly 0 here.
        if "_liner" not in n or "bias" not in n:
            say(f"grad.{n}", t.grad)


def max_norm(x):
    """x min(|x|, 10) / (|x| + eps), the clamped length held constant"""
    length = x.norm(dim=-1, keepdim=True)
    return x * (length.detach().clamp(max=10) / (length + 1e-8))


def personalize(c, w, b, v, e):
    """Two depthwise (2,1) convolutions over [mean, c, var] of each channel, a ReLU between."""
    columns = torch.stack([c.mean(0).expand_as(c), c, c.var(0, unbiased=False).expand_as(c)], dim=-1)
    columns = columns.permute(1, 2, 0).unsqueeze(0)                 # [1, F, 3, K]
    features = c.shape[1]
    u = F.relu(F.conv2d(columns, w.reshape(features, 1, 2, 1), b, groups=features))
    return F.conv2d(u, v.reshape(features, 1, 2, 1), e, groups=features)[0, :, 0, :].T


class MLP(nn.Module):
    """three times Linear, BatchNorm1d, ELU, named as ours"""
    def __init__(self, codes, hidden):
        super().__init__()
        for i, (n_in, n_out) in enumerate([(codes, hidden), (hidden, hidden), (hidden, 1)], 1):
            setattr(self, f"_liner{i}", nn.Linear(n_in, n_out))
            setattr(self, f"_norm{i}", nn.BatchNorm1d(n_out))

    def forward(self, x):
        for i in (1, 2, 3):
            x = F.elu(getattr(self, f"_norm{i}")(getattr(self, f"_liner{i}")(x)))
        return x


def fsq(z, levels):
    half = (levels - 1) * 1.001 / 2
    offset = torch.where(levels % 2 == 0, 0.5, 0.0)
    b = torch.tanh(z + torch.atanh(offset / half)) * half - offset
    width = levels // 2
    y = (b + (b.round() - b).detach()) / width
    digits = b.round() + width
    return {
        "y": y,
        "d": (((b - b.round()) / width) ** 2).sum(1).sqrt(),
        "squares": (z ** 2).sum(1),
        # Of NaN there is no code; NaN says so.
        "q": digits[:, 0] + levels[0] * digits[:, 1] + levels[0] * levels[1] * digits[:, 2],
    }


torch.manual_seed(0)
for bad in ("nan", "inf", "-inf"):
    def with_bad(shape, *at):
        x = values(*shape)
        x[at] = float(bad)
        return x

    rows = with_bad((3, 4), 1, 2)
    rows[2] *= 20
    case(f"unit {bad}", {"x": rows}, lambda x: {"y": F.normalize(x, dim=-1, eps=1e-6)})
    case(f"limited {bad}", {"x": rows}, lambda x: {"y": max_norm(x)})

    # Of a codebook, rewritten in place.
    case(f"codebook_l2 {bad}", {"codebook": rows}, lambda x: {"y": max_norm(x)}, backward=False)
    case(f"codebook_l2c {bad}", {"codebook": rows}, lambda x: {"y": F.normalize(x, dim=-1, eps=1e-8)}, backward=False)

    image = with_bad((2, 4, 1, 3), 1, 2, 0, 1)
    affine = {"weight": values(4) + 2, "bias": values(4)}
    case(f"group_norm {bad}", {"x": image, **affine},
         lambda x, w, b: {"y": F.group_norm(x, 2, w, b, eps=1e-6)})
    case(f"instance_norm {bad}", {"x": image}, lambda x: {"y": F.instance_norm(x, eps=1e-5)})
    for how in ("training", "evaluation"):
        def batch_norm(x, w, b, mean, var):
            y = F.batch_norm(x, mean, var, w, b, training=how == "training", momentum=0.1, eps=1e-5)
            return {"y": y, "running_mean": mean, "running_var": var}

        inputs = {"x": with_bad((5, 3), 2, 1), "weight": values(3) + 2, "bias": values(3)}
        running = {"running_mean": torch.tensor([0.5, -0.5, 0.25]), "running_var": torch.tensor([1.0, 2.0, 0.5])}
        case(f"batch_norm_{how} {bad}", inputs, batch_norm, buffers=running)

    codes = with_bad((5, 3), 3, 1)
    inputs = {"codebook": codes, "w": values(3, 2) + 2, "b": values(3) + 3, "v": values(3, 2), "e": values(3)}
    case(f"personalize {bad}", inputs, lambda *all: {"y": personalize(*all)})
    mlp = MLP(5, 3)
    case(f"gamma {bad}", {"codebook": codes}, lambda c: {"y": mlp(c.T)}, mlp)

    levels = torch.tensor([5, 4, 3])
    case(f"fsq {bad}", {"z": with_bad((2, 3), 1, 1)}, lambda z: fsq(z, levels))
