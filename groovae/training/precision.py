"""The precision of a training's matrix products: float32, or bfloat16 where the CPU has it."""

import re
import time
from pathlib import Path
from statistics import median
from typing import Any

from groovae.config.description import PRECISIONS
from groovae.errors import UsageError
from groovae.system.log import Log
from groovae.upstream import tf

CPU_FLAGS = Path("/proc/cpuinfo")
MIN_SPEEDUP = 1.1


def choose_precision(asked: str, saved: Any, rnn: str, log: Log) -> str:
    """Return `float32` or `bfloat16`.

    Args:
      asked: One of `PRECISIONS`, or `auto`, which takes bfloat16 if the CPU multiplies it faster.
      saved: That of the training to resume, which `auto` keeps; or None.
      rnn: `layerwise`, or `magenta`, whose graph has float32 only.
      log: Called with a line about the choice of `auto`.

    Raises:
      UsageError: unknown precision, or bfloat16 in Magenta's graph.
    """
    if asked not in ("auto", *PRECISIONS):
        raise UsageError(f"--matmul_precision must be auto, {', '.join(PRECISIONS)}, got {asked!r}")
    if rnn == "magenta":
        if asked == "bfloat16":
            raise UsageError("--matmul_precision=bfloat16 needs --rnn=layerwise")
        return "float32"
    if asked != "auto":
        return asked
    if saved in PRECISIONS:
        return str(saved)
    if not has_bfloat16():
        log("matrix products in float32: this CPU has no bfloat16 (AVX512_BF16 or AMX)")
        return "float32"
    speedup = _time_product(tf.float32) / _time_product(tf.bfloat16)
    chosen = "bfloat16" if speedup >= MIN_SPEEDUP else "float32"
    log(f"matrix products in {chosen}: bfloat16 takes {1 / speedup:.2f} of the time of float32")
    return chosen


def has_bfloat16() -> bool:
    """Return whether the CPU multiplies bfloat16, by Linux's list of its features."""
    try:
        features = CPU_FLAGS.read_text(errors="replace")
    except OSError:
        return False
    return re.search(r"\b(avx512_bf16|amx_bf16)\b", features) is not None


def _time_product(dtype: Any, size: int = 512, repeats: int = 9) -> float:
    """Return the seconds of one product of two square matrices, the median of several."""
    with tf.Graph().as_default(), tf.Session() as session:
        matrix = tf.get_variable("matrix", initializer=tf.zeros([size, size], dtype))
        product = tf.matmul(matrix, matrix).op
        session.run(tf.global_variables_initializer())
        session.run(product)  # the first run also prepares the graph
        seconds = []
        for _ in range(repeats):
            start = time.perf_counter()
            session.run(product)
            seconds.append(time.perf_counter() - start)
    return median(seconds)
