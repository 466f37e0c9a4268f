"""Write weights in TensorFlow.js format: a manifest, and binary shards.

`weights_manifest.json` lists the tensors in the order of their bytes, little endian and in C order.
Shards have 4 MiB each, and a tensor may span several. Matrices can be quantized to `float16`, or to
`uint16` or `uint8` as min + scale * value with one scale per tensor; vectors stay float32.
(tfjs-core 2.8, io/io_utils.ts.)
"""

import re
from pathlib import Path
from typing import Any

import numpy as np

from groovae.system.atomic_files import json_text

SHARD_BYTES = 4 << 20
MANIFEST = "weights_manifest.json"
SHARD_NAME = re.compile(r"group1-shard\d+of\d+\.bin")


def write(folder: Path, tensors: dict[str, np.ndarray], dtype: str) -> int:
    """Write the manifest and the shards, and return the total size of the shards in bytes.

    Args:
      folder: An existing folder.
      tensors: Finite float32 arrays by name.
      dtype: Storage type of matrices, one of `DTYPES["magentajs"]`.

    Raises:
      ValueError: If a value is too large for float16.
    """
    entries, chunks = zip(*[_encode(*item, dtype) for item in tensors.items()], strict=True)
    data = b"".join(chunks)
    starts = range(0, len(data), SHARD_BYTES)
    paths = [f"group1-shard{i + 1}of{len(starts)}.bin" for i in range(len(starts))]
    for path, start in zip(paths, starts, strict=True):
        (folder / path).write_bytes(data[start : start + SHARD_BYTES])
    (folder / MANIFEST).write_text(json_text([{"paths": paths, "weights": entries}]), "utf-8")
    return len(data)


def _encode(name: str, tensor: np.ndarray, dtype: str) -> tuple[dict[str, Any], bytes]:
    """Return the manifest entry and the bytes of a tensor."""
    entry: dict[str, Any] = {"name": name, "shape": list(tensor.shape), "dtype": "float32"}
    if dtype == "float32" or tensor.ndim < 2:
        return entry, tensor.astype("<f4").tobytes()
    if dtype == "float16":
        entry["quantization"] = {"dtype": dtype, "original_dtype": "float32"}
        with np.errstate(over="ignore"):
            values = tensor.astype("<f2")
        if not np.isfinite(values).all():
            raise ValueError(f"{name} has values beyond 65,504, the largest in float16")
        return entry, values.tobytes()
    low, high = float(tensor.min()), float(tensor.max())
    scale = (high - low) / np.iinfo(dtype).max or 1.0  # 1 if all values are the same
    entry["quantization"] = {"dtype": dtype, "min": low, "scale": scale}
    values = np.rint((tensor.astype(np.float64) - low) / scale)
    return entry, values.astype(np.dtype(dtype).newbyteorder("<")).tobytes()
