"""Writes the .npy files of this folder with NumPy: python tests/cases/npy/generate.py"""
from pathlib import Path

import numpy as np

HERE = Path(__file__).parent
codes = (np.arange(24).reshape(2, 3, 4) * 37 % 101).astype("<i4")
for name, values in {
    "int32": codes,
    "int64": codes.astype("<i8"),
    "int32_big": codes.astype(">i4"),
    "int64_big": codes.astype(">i8"),
    "negative": -codes,
    "huge": codes.astype("<i8") * 2**40,
    "float32": codes.astype("<f4"),
    "uint16": codes.astype("<u2"),
    "record": np.zeros((2, 3, 4), [("x", "<i4"), ("y", "<f4", (2,))]),
    "fortran": np.asfortranarray(codes),
    "flat": codes.ravel(),
    "scalar": codes[0, 0, 0],
    "empty": codes[:0],
}.items():
    np.save(HERE / f"{name}.npy", values)
for version in (2, 3):
    with open(HERE / f"version{version}.npy", "wb") as file:
        np.lib.format.write_array(file, codes, version=(version, 0))
