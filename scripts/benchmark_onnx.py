"""The section `onnx` of `benchmark.py`: an exported model beside the checkpoint it came from.

groovae runs both, the export with onnxruntime and the checkpoint with TensorFlow, each with its
default number of threads.
"""

from collections.abc import Iterator
from statistics import median
from typing import Any

from benchmark_programs import Bench
from benchmark_run import Failure, log
from benchmark_table import Section

PROGRAMS = ("tensorflow", "onnx")
REPEATS = {1: 200, 64: 40, 512: 5}  # by batch size: small batches are short and noisy
# A logit within rounding of its threshold may fall to either side, which changes later steps.
MAX_DIFFERENT_SHARE = 0.01

# Targets; the first is absolute.
COLD_START_SECONDS = 1.0
BATCH_SIZE = 64
DECODE_RATIO = 1.0


def onnx_section(bench: Bench) -> Iterator[Section]:
    section = Section("onnx", "TensorFlow, same checkpoint")
    bench.add_cold_start(section, PROGRAMS, under=COLD_START_SECONDS)
    add_decoding(bench, section)
    section.notes.append("The export has no graph to build.")
    yield section


def add_decoding(bench: Bench, section: Section) -> None:
    """Add the sequences per second of a warm model, in processes of their own."""
    num_grooves = num_different = 0
    for batch_size, repeats in REPEATS.items():
        results: dict[str, list[dict[str, Any]]] = {program: [] for program in PROGRAMS}
        for number, order in bench.rounds():
            for program in PROGRAMS[::order]:
                log(f"round {number}: decode, {program}, batches of {batch_size}")
                file = bench.work / f"decode_{program}_{batch_size}.log"
                results[program].append(bench.decode(program, file, batch_size, repeats))
        seconds = (
            median([seconds for result in results[program] for seconds in result["seconds"]])
            for program in PROGRAMS
        )
        target = {"at_least": DECODE_RATIO} if batch_size == BATCH_SIZE else {}
        rates = (batch_size / each for each in seconds)
        section.add(f"decoding in batches of {batch_size}", "/s", *rates, **target)
        num_grooves += batch_size
        grooves = (results[program][0]["grooves"] for program in PROGRAMS)
        num_different += count_different(*grooves)
    repeated = ", ".join(str(repeats * bench.options.repeat) for repeats in REPEATS.values())
    section.notes.append(
        f"Decoding: medians of {repeated} warm batches of four bars each. {num_different} of "
        f"{num_grooves} grooves differ in a hit."
    )


def count_different(expected: list[int], found: list[int]) -> int:
    """Return the number of grooves with different hits; fail if rounding does not explain it."""
    different = sum(here != there for here, there in zip(expected, found, strict=True))
    if different > MAX_DIFFERENT_SHARE * len(expected):
        raise Failure(
            f"{different} of {len(expected)} grooves of the export have other hits than "
            "TensorFlow's, from the same latents and thresholds"
        )
    return different
