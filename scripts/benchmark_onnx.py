"""The section `onnx` of `benchmark.py`: an exported model beside the checkpoint it came from.

groovae plays both, the export by onnxruntime and the checkpoint by TensorFlow, each with as many
threads as it takes by itself.
"""

from collections.abc import Iterator
from statistics import median
from typing import TYPE_CHECKING, Any

from benchmark_run import Failure, Run, say
from benchmark_table import Section

if TYPE_CHECKING:
    from benchmark import Bench

PROGRAMS = ("tensorflow", "onnx")
# How many grooves at a time, and how often: small batches are over so soon that a few say little.
DECODINGS = {1: 200, 64: 40, 512: 5}
# A logit within rounding of its threshold falls to either side, and what follows hears it.
MAX_DIFFERENT = 0.01

# What the figures must reach, the first one whatever TensorFlow takes.
COLD_START_SECONDS = 1.0
BATCH_SIZE = 64
DECODE_AS_FAST = 1.0


def onnx_section(bench: "Bench") -> Iterator[Section]:
    section = Section("onnx", "the same checkpoint in groovae by TensorFlow")
    bench.model("onnx")  # made before the clock starts
    add_cold_start(bench, section)
    add_decoding(bench, section)
    yield section


def add_cold_start(bench: "Bench", section: Section) -> None:
    """One groove by `groovae sample`, from the start of the process to its end."""
    runs: dict[str, list[Run]] = {who: [] for who in PROGRAMS}
    phases: dict[str, list[dict[str, float]]] = {who: [] for who in PROGRAMS}
    for number, order in bench.rounds():
        for who in PROGRAMS[::order]:
            say(f"round {number}: sample, {who}")
            ran, seconds = bench.sample(who, bench.work / f"sample_{who}.log")
            runs[who].append(ran)
            phases[who].append(seconds)
    cold = (median([ran.seconds for ran in runs[who]]) for who in PROGRAMS)
    section.add("one groove, whole command", "s", *cold, under=COLD_START_SECONDS)
    peaks = (max(ran.peak_mb for ran in runs[who]) for who in PROGRAMS)
    section.add("one groove, peak memory", "MB", *peaks)
    for who in PROGRAMS:
        section.add_phases(who, phases[who])
    section.notes.append(
        "the export has no graph to build; import: up to the model; write: all after the "
        "decoding, the end of the process included"
    )


def add_decoding(bench: "Bench", section: Section) -> None:
    """Sequences a second of a warm model, in processes of their own."""
    counts = {"grooves": 0, "different": 0}
    for batch_size, times in DECODINGS.items():
        told: dict[str, list[dict[str, Any]]] = {who: [] for who in PROGRAMS}
        for number, order in bench.rounds():
            for who in PROGRAMS[::order]:
                say(f"round {number}: decode, {who}, batches of {batch_size}")
                log = bench.work / f"decode_{who}_{batch_size}.log"
                told[who].append(bench.decode(who, log, batch_size, times))
        seconds = (median([s for one in told[who] for s in one["seconds"]]) for who in PROGRAMS)
        target = {"at_least": DECODE_AS_FAST} if batch_size == BATCH_SIZE else {}
        rates = (batch_size / each for each in seconds)
        section.add(f"decoded in batches of {batch_size}", "/s", *rates, **target)
        counts["grooves"] += batch_size
        counts["different"] += different_grooves(*(told[who][0]["grooves"] for who in PROGRAMS))
    repeated = ", ".join(str(times * bench.options.repeat) for times in DECODINGS.values())
    section.notes.append(
        f"medians of {repeated} warm batches of four bars each; {counts['different']} of "
        f"{counts['grooves']} grooves differ in a hit"
    )


def different_grooves(expected: list[int], found: list[int]) -> int:
    """How many grooves do not have the same hits; more than rounding explains are a failure."""
    different = sum(here != there for here, there in zip(expected, found, strict=True))
    if different > MAX_DIFFERENT * len(expected):
        raise Failure(
            f"from the same latents and thresholds {different} of {len(expected)} grooves that "
            "the export plays have other hits than TensorFlow's"
        )
    return different
