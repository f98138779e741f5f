"""Cases of training from PyTorch and scikit-image:  python tests/peers/generate_training.py [OUT_DIR]

Needs `pip install torch safetensors numpy scikit-image`. Writes `schedule.safetensors`, learning rates of
`torch.optim.lr_scheduler`; `clip.safetensors`, steps of AdamW and SGD behind `clip_grad_norm_`, with a parameter
group that has a rate of its own; `ssim.safetensors`, SSIM and PSNR of a few images. Computed in float64.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from torch.optim import lr_scheduler as schedulers

torch.set_default_dtype(torch.float64)
OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)


def save(name, config, tensors):
    tensors = {k: v.detach().to(torch.float32).contiguous().clone() for k, v in tensors.items()}
    save_file(tensors, str(OUT / f"{name}.safetensors"), {"config": json.dumps(config)})


def rates(lr, steps, warmup, after):
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    scheduler = after(optimizer)
    if warmup:
        warm = schedulers.LambdaLR(optimizer, lambda s: (s + 1) / warmup)
        scheduler = schedulers.SequentialLR(optimizer, [warm, after(optimizer)], milestones=[warmup])
    out = []
    for _ in range(steps):
        out.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(out)


def schedule():
    lr, steps = 2e-3, 60
    kinds = {
        "cosine": (dict(schedule="cosine", min_lr=1e-4), 0,
                   lambda o: schedulers.CosineAnnealingLR(o, T_max=steps, eta_min=1e-4)),
        "warm_cosine": (dict(schedule="cosine", min_lr=1e-5, warmup=12), 12,
                        lambda o: schedulers.CosineAnnealingLR(o, T_max=steps - 12, eta_min=1e-5)),
        "step": (dict(schedule="step", decay_every=17, decay_factor=0.3), 0,
                 lambda o: schedulers.StepLR(o, 17, 0.3)),
        "warm_step": (dict(schedule="step", decay_every=11, decay_factor=0.5, warmup=7), 7,
                      lambda o: schedulers.StepLR(o, 11, 0.5)),
        "warm_constant": (dict(schedule="constant", warmup=9), 9, lambda o: schedulers.LambdaLR(o, lambda _: 1.0)),
    }
    config = {name: dict(options, lr=lr, steps=steps) for name, (options, *_) in kinds.items()}
    save("schedule", config, {name: rates(lr, steps, warmup, after) for name, (_, warmup, after) in kinds.items()})


def clip():
    """Five steps; the norm of the second's gradients is below the limit. `b` has a third of the rate."""
    shapes, limit, factor, lr = {"a": 37, "b": 130, "c": 70}, 3.0, 1 / 3, 0.05
    makers = {
        "adamw": lambda groups: torch.optim.AdamW(groups, lr=lr, betas=(0.8, 0.95), eps=1e-8, weight_decay=0.1),
        "sgd": lambda groups: torch.optim.SGD(groups, lr=lr, momentum=0.7, weight_decay=0.1),
    }
    tensors = {f"param.{n}": torch.randn(k) for n, k in shapes.items()}
    for step in range(5):
        scale = 0.05 if step == 1 else 1.0
        tensors |= {f"grad.{n}_{step}": scale * torch.randn(k) for n, k in shapes.items()}
    for kind, make in makers.items():
        own = {n: tensors[f"param.{n}"].to(torch.float32).double().requires_grad_() for n in shapes}
        optimizer = make([{"params": [own["a"], own["c"]]}, {"params": [own["b"]], "lr": lr * factor}])
        norms = []
        for step in range(5):
            for n, p in own.items():
                p.grad = tensors[f"grad.{n}_{step}"].to(torch.float32).double().clone()
            norms.append(torch.nn.utils.clip_grad_norm_(own.values(), limit))
            optimizer.step()
            tensors |= {f"{kind}.{n}_{step}": p.detach().clone() for n, p in own.items()}
        tensors["norms"] = torch.stack(norms)
    save("clip", dict(limit=limit, factor=factor, lr=lr), tensors)


def ssim():
    """Smooth images in [-1, 1] and noisy ones of them, three of two channels, 15 by 21 pixels; one is nearly the same."""
    rng = np.random.default_rng(5)
    y, x = np.mgrid[0:15, 0:21]
    waves = [[np.sin(x / (2 + b) + c) * np.cos(y / (3 + c) + b) for c in range(2)] for b in range(3)]
    a = np.array(waves)
    b = np.clip(a + np.array([0.3, 0.05, 0.001]).reshape(3, 1, 1, 1) * rng.standard_normal(a.shape), -1, 1)
    a, b = a.astype(np.float32).astype(np.float64), b.astype(np.float32).astype(np.float64)
    how = dict(gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=2.0, channel_axis=0)
    similar = [structural_similarity(p, q, **how) for p, q in zip(a, b)]
    noise = [peak_signal_noise_ratio(p, q, data_range=2.0) for p, q in zip(a, b)]
    tensors = dict(a=a, b=b, ssim=np.array(similar), psnr=np.array(noise))
    save("ssim", {}, {k: torch.tensor(v) for k, v in tensors.items()})


torch.manual_seed(20261127)
schedule()
clip()
ssim()
