"""Writes the PNG images of this folder and, in values.json, what Pillow makes of them: grey (`L`) and RGB,
on white where they are transparent. Needs pillow and numpy: python tests/cases/png/generate.py"""
import json
import struct
import zlib
from pathlib import Path

import numpy as np
from PIL import Image

HERE = Path(__file__).parent
rng = np.random.default_rng(7)
H, W = 4, 8


def chunk(kind, data):
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def png(name, depth, color, rows, extra=b""):
    head = struct.pack(">IIBBBBB", W, H, depth, color, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    (HERE / name).write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + extra + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def packed(values, depth):
    bits = "".join(format(int(v), f"0{depth}b") for v in values)
    return int(bits, 2).to_bytes(len(bits) // 8, "big")


byte = lambda *shape: rng.integers(0, 256, shape, dtype=np.uint8)
word = lambda *shape: rng.integers(0, 65536, shape, dtype=np.uint16)
Image.fromarray(byte(H, W)).save(HERE / "grey8.png")
Image.fromarray(byte(H, W, 3)).save(HERE / "rgb8.png")
Image.fromarray(byte(H, W, 4)).save(HERE / "rgba8.png")
Image.fromarray(byte(H, W, 2), "LA").save(HERE / "la8.png")
for depth in (1, 2, 4):
    png(f"grey{depth}.png", depth, 0, [packed(rng.integers(0, 2**depth, W), depth) for _ in range(H)])
    palette = byte(2**depth, 3).tobytes()
    alpha = byte(2**depth - 1).tobytes()
    rows = [packed(rng.integers(0, 2**depth, W), depth) for _ in range(H)]
    png(f"palette{depth}.png", depth, 3, rows, chunk(b"PLTE", palette) + chunk(b"tRNS", alpha))
# 16 bits of equal bytes: every rule of reducing them to 8 gives the same.
twice = lambda values: (values.astype(np.uint16) * 257).astype(">u2")
wide = {"grey16": (0, byte(H, W, 1)), "la16": (4, byte(H, W, 2)), "rgb16": (2, byte(H, W, 3)), "rgba16": (6, byte(H, W, 4))}
for name, (color, values) in wide.items():
    png(f"{name}.png", 16, color, [twice(row).tobytes() for row in values])
# A colour that stands for transparent.
key = byte(H, W, 3)
png("rgb8_key.png", 8, 2, [row.tobytes() for row in key], chunk(b"tRNS", struct.pack(">HHH", *map(int, key[1, 2]))))


def load(path):
    if path.stem in wide:  # Pillow has no 16-bit colour: the same image in 8 bits.
        values = wide[path.stem][1]
        return Image.fromarray(values[..., 0] if values.shape[2] == 1 else values, {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}[values.shape[2]])
    return Image.open(path)


out = {}
for path in sorted(HERE.glob("*.png")):
    rgba = load(path).convert("RGBA")
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    out[path.stem] = {
        "grey": np.asarray(white.convert("L")).ravel().tolist(),
        "rgb": np.asarray(white).transpose(2, 0, 1).ravel().tolist(),
    }
text = ",\n".join(f'"{name}": {json.dumps(value)}' for name, value in out.items())
(HERE / "values.json").write_text("{\n" + text + "\n}\n")
