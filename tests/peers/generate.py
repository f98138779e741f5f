"""Cases from other implementations of the baselines:  python tests/peers/generate.py [OUT_DIR]

Needs `pip install torch safetensors numpy scikit-learn vector-quantize-pytorch`. Writes what
vector-quantize-pytorch 1.32 and scikit-learn 1.9 compute in float64: safetensors files whose tensors
are in.*, param.*, out.*, grad.*, after.*, with `config` (our options, as JSON) in the metadata. The
scalar that is differentiated is sum(out * grad_out) + 10 * loss, but for `ema`, see there.
"""
import json
import pathlib
import sys

import numpy as np
import torch
from safetensors.torch import save_file
from sklearn.cluster import KMeans
from torch.nn import functional as F
from vector_quantize_pytorch import FSQ, ResidualVQ, SimVQ, VectorQuantize
from vector_quantize_pytorch.vector_quantize_pytorch import rotate_to

torch.set_default_dtype(torch.float64)
OUT = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent)
BATCH, FEATURES, POSITIONS, CODES, BETA = 3, 10, 14, 24, 0.8


def save(name, config, tensors):
    def pack(t):
        t = t.detach()
        return t.to(torch.float32 if t.is_floating_point() else torch.int32).contiguous().clone()
    meta = {"config": json.dumps(config)}
    save_file({k: pack(v) for k, v in tensors.items()}, str(OUT / f"{name}.safetensors"), meta)


def rows(z):
    return z.moveaxis(1, -1).reshape(-1, z.shape[1])


def clear_z(codebook, count=1):
    """z whose nearest codes are beyond doubt in float32"""
    while True:
        zs = [1.2 * torch.randn(BATCH, FEATURES, POSITIONS) for _ in range(count)]
        two = torch.cdist(rows(zs[0]), codebook).topk(2, largest=False)[0]
        if (two[:, 1] - two[:, 0]).min() > 1e-3:
            return zs


def base(**kw):
    return dict(feature_size=FEATURES, num_codes=CODES, beta=BETA, **kw)


def ema():
    """Three steps; codes and codebook after each. No gradient reaches the codebook."""
    vq = VectorQuantize(dim=FEATURES, codebook_size=CODES, decay=0.9, eps=1e-5, threshold_ema_dead_code=0,
                        commitment_weight=1.0, channel_last=False, rotation_trick=False).double().train()
    book = vq._codebook
    book.embed.data = torch.randn(1, CODES, FEATURES)
    book.embed_avg.data = book.embed.data.clone()
    tensors = {"param.codebook.weight": book.embed[0].clone()}
    step = 0
    while step < 3:
        z = clear_z(book.embed[0])[0].requires_grad_()
        out, q, loss = vq(z)
        g = torch.randn_like(out)
        # That package's loss is all on the side of z; ours has (1 - beta) of it there.
        ((out * g).sum() + 10 * (1 - BETA) * loss.sum()).backward()
        tensors |= {f"in.z_{step}": z, f"in.grad_out_{step}": g, f"out.out_{step}": out, f"out.q_{step}": q.flatten(),
                    f"out.loss_{step}": loss.reshape(1), f"grad.z_{step}": z.grad,
                    f"after.codebook.weight_{step}": book.embed[0].clone(),
                    f"after.cluster_size_{step}": book.cluster_size[0].clone()}
        step += 1
    save("ema", base(ema_decay=0.9), tensors)


def rotation():
    codebook = torch.randn(CODES, FEATURES).requires_grad_()
    z = clear_z(codebook.detach())[0].requires_grad_()
    x = rows(z)
    q = torch.cdist(x, codebook).argmin(-1)
    z_q = codebook[q]
    back = lambda r: r.reshape(BATCH, POSITIONS, FEATURES).moveaxis(-1, 1)
    out = back(rotate_to(x, z_q.detach()))
    g = torch.randn_like(out)
    loss = (1 - BETA) * F.mse_loss(x, z_q.detach()) + BETA * F.mse_loss(x.detach(), z_q)
    ((out * g).sum() + 10 * loss).backward()
    save("rotation", base(estimator="rotation"),
         {"in.z": z, "in.grad_out": g, "param.codebook.weight": codebook, "out.out": out, "out.q": q,
          "out.loss": loss.reshape(1), "grad.z": z.grad, "grad.codebook.weight": codebook.grad})


def simvq():
    vq = SimVQ(dim=FEATURES, codebook_size=CODES, channel_first=True, rotation_trick=False,
               input_to_quantize_commit_loss_weight=(1 - BETA) / BETA, commitment_weight=BETA).double()
    z = clear_z(vq.codebook.detach())[0].requires_grad_()
    out, q, loss = vq(z)
    g = torch.randn_like(out)
    ((out * g).sum() + 10 * loss).backward()
    save("simvq", base(simvq=True),
         {"in.z": z, "in.grad_out": g, "param.codebook.weight": vq.frozen_codebook,
          "param.codebook_transform.weight": vq.code_transform.weight, "out.out": out, "out.q": q.flatten(),
          "out.loss": loss.reshape(1), "grad.z": z.grad,
          "grad.codebook_transform.weight": vq.code_transform.weight.grad})


def fsq(name, levels, features):
    m = FSQ(levels=levels, dim=features, channel_first=True).double()
    while True:
        z = (1.2 * torch.randn(BATCH, features, POSITIONS)).requires_grad_()
        u = m.project_in(rows(z))
        half = (m._levels - 1) * 1.001 / 2
        offset = torch.where(m._levels % 2 == 0, 0.5, 0.0)
        bounded = (u + (offset / half).atanh()).tanh() * half - offset
        if ((bounded - bounded.round()).abs() < 0.499).all():
            break
    out, q = m(z)
    g = torch.randn_like(out)
    (out * g).sum().backward()
    parameters = dict(m.named_parameters())
    save(name, dict(feature_size=features, num_codes=int(np.prod(levels)), fsq_levels=levels),
         {"in.z": z, "in.grad_out": g, "out.out": out, "out.q": q.flatten(), "grad.z": z.grad,
          **{f"param.{n}": p for n, p in parameters.items()}, **{f"grad.{n}": p.grad for n, p in parameters.items()}})


def residual(name, ema=False, shared=False, rotation=False):
    """Three codebooks one after the other, or one three times; a step, with a moving average three.

    A learned codebook is pulled with the same weight as z, so beta is 0.5. Where one codebook is shared, its average
    moves once a step, by the vectors of all layers together (`update_indices`); `ResidualVQ` by itself would move it once
    for each layer, with as many decays a step.
    """
    layers = 3
    rvq = ResidualVQ(dim=FEATURES, codebook_size=CODES, num_quantizers=layers, shared_codebook=shared, commitment_weight=1.0,
                     rotation_trick=rotation, threshold_ema_dead_code=0,
                     **(dict(decay=0.9, eps=1e-5) if ema else dict(learnable_codebook=True, ema_update=False))).double().train()
    books = [layer._codebook for layer in rvq.layers]
    own = books[:1] if shared else books
    named = [("" if shared else f"layers.{d}.", book) for d, book in enumerate(own)]
    tensors = {}
    for d, (prefix, book) in enumerate(named):
        book.embed.data = torch.randn(1, CODES, FEATURES) / 2 ** d
        book.embed_avg.data = book.embed.data.clone()
        tensors[f"param.{prefix}codebook.weight"] = book.embed[0].clone()

    def residuals(x):
        """of each layer, its codes, and by how much they win"""
        all, codes, margin = [], [], np.inf
        for book in books:
            two = torch.cdist(x, book.embed[0].detach()).topk(2, largest=False)
            margin = min(margin, float((two[0][:, 1] - two[0][:, 0]).min()))
            all, codes = all + [x], codes + [two[1][:, 0]]
            x = x - book.embed[0].detach()[codes[-1]]
        return all, codes, margin

    beta = BETA if ema else 0.5
    steps = 3 if ema else 1
    for step in range(steps):
        while True:
            z = 1.2 * torch.randn(BATCH, FEATURES, POSITIONS)
            rests, codes, margin = residuals(rows(z))
            if margin > 1e-3:
                break
        z.requires_grad_()
        out, q, loss = rvq(z.moveaxis(1, -1), freeze_codebook=ema and shared)
        out = out.moveaxis(-1, 1)
        assert (q.reshape(-1, layers) == torch.stack(codes, -1)).all()
        g = torch.randn_like(out)
        ((out * g).sum() + 10 * (1 - beta) * loss.sum()).backward()
        if ema and shared:
            own[0].update_indices(torch.cat(rests), torch.cat(codes))
            own[0].update_ema()
        after = f"_{step}" if ema else ""
        tensors |= {f"in.z{after}": z, f"in.grad_out{after}": g, f"out.out{after}": out, f"out.loss{after}": loss.flatten(),
                    f"out.q{after}": q.reshape(-1, layers).T, f"grad.z{after}": z.grad}
        for prefix, book in named:
            if ema:
                tensors[f"after.{prefix}codebook.weight{after}"] = book.embed[0].clone()
                tensors[f"after.{prefix}cluster_size{after}"] = book.cluster_size[0].clone()
            else:
                tensors[f"grad.{prefix}codebook.weight"] = book.embed.grad[0]
    options = dict(feature_size=FEATURES, num_codes=CODES, beta=beta, residual=layers, residual_shared=shared)
    save(name, options | (dict(ema_decay=0.9) if ema else {}) | (dict(estimator="rotation") if rotation else {}), tensors)


def kmeans():
    """Inertia of scikit-learn's k-means, the median of five seeds, on three sets of rows."""
    blobs = torch.randn(20, 8) * 4
    sets = {"normal": (torch.randn(1500, 8), 32), "blobs": (blobs[torch.randint(20, (1200,))] + 0.5 * torch.randn(1200, 8), 20),
            "skewed": (torch.randn(1000, 5).exp(), 50)}
    tensors, clusters = {}, {}
    for name, (x, k) in sets.items():
        x = x.to(torch.float32)
        found = [KMeans(k, init="k-means++", n_init=1, random_state=s).fit(x.numpy().astype(np.float64)).inertia_ for s in range(5)]
        tensors |= {f"in.{name}": x, f"out.{name}": torch.tensor([np.median(found)])}
        clusters[name] = k
    save("kmeans", clusters, tensors)


torch.manual_seed(20261123)
ema()
rotation()
simvq()
fsq("fsq", [8, 5, 5], 3)
fsq("fsq_projected", [7, 5, 4, 3], 10)
kmeans()
torch.manual_seed(20261128)
residual("residual")
residual("residual_shared", shared=True)
residual("residual_rotation", rotation=True)
residual("residual_ema", ema=True)
residual("residual_ema_shared", ema=True, shared=True)
