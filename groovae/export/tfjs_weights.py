"""Weights as TensorFlow.js loads them: a manifest, and shards of bytes.

The manifest, `weights_manifest.json`, lists the tensors in the order of their bytes, little endian
and in C order; a shard is 4 MiB of these, and may begin in the midst of a tensor. Matrices can be
stored in fewer bits: `float16`, or `uint16` or `uint8`, which stand for min + scale * value, with
a scale for each tensor. Vectors are few and stay float32. (tfjs-core 2.8, io/io_utils.ts.)
"""

import re
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from groovae.system.atomic_files import json_text

SHARD_BYTES = 4 << 20
MANIFEST = "weights_manifest.json"
SHARD_NAME = re.compile(r"group1-shard\d+of\d+\.bin")


class Stored(NamedTuple):
    """A tensor's entry in the manifest, and its bytes."""

    entry: dict[str, Any]
    data: bytes


def write(folder: Path, tensors: dict[str, np.ndarray], dtype: str) -> int:
    """Writes the manifest and the shards, and returns how many bytes the shards have.

    Args:
      folder: Where to; it is there.
      tensors: float32, finite, by name.
      dtype: How matrices are stored, one of `DTYPES["magentajs"]`.

    Raises:
      ValueError: a value is too large for float16.
    """
    stored = [_store(name, tensor, dtype) for name, tensor in tensors.items()]
    whole = b"".join(one.data for one in stored)
    starts = range(0, len(whole), SHARD_BYTES)
    paths = [f"group1-shard{i + 1}of{len(starts)}.bin" for i in range(len(starts))]
    for path, start in zip(paths, starts, strict=True):
        (folder / path).write_bytes(whole[start : start + SHARD_BYTES])
    manifest = [{"paths": paths, "weights": [one.entry for one in stored]}]
    (folder / MANIFEST).write_text(json_text(manifest), "utf-8")
    return len(whole)


def _store(name: str, tensor: np.ndarray, dtype: str) -> Stored:
    entry: dict[str, Any] = {"name": name, "shape": list(tensor.shape), "dtype": "float32"}
    if dtype == "float32" or tensor.ndim < 2:
        return Stored(entry, tensor.astype("<f4").tobytes())
    if dtype == "float16":
        entry["quantization"] = {"dtype": dtype, "original_dtype": "float32"}
        with np.errstate(over="ignore"):
            values = tensor.astype("<f2")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values beyond 65,504")
        return Stored(entry, values.tobytes())
    low, high = float(tensor.min()), float(tensor.max())
    steps = np.iinfo(dtype).max
    scale = (high - low) / steps or 1.0  # of a tensor that has one value only
    entry["quantization"] = {"dtype": dtype, "min": low, "scale": scale}
    values = np.rint((tensor.astype(np.float64) - low) / scale)
    return Stored(entry, values.astype(np.dtype(dtype).newbyteorder("<")).tobytes())
