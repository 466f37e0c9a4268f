"""Compare the learning curves of groovae and native Magenta 2.1.4, over several trainings of each.

    python scripts/compare_learning.py --out=docs/learning.md           20 minutes on 2 cores
    python scripts/compare_learning.py --seeds=3 --steps=80             a quick look
    python scripts/compare_learning.py --golden=tests/training/native_losses.json
    python scripts/compare_learning.py --graphs --out=docs/learning-graphs.md      without native

Runs with any Python from 3.10 on Linux. Like `benchmark.py`, it uses the groovae in `.venv`, the
Groove MIDI Dataset (`groovae download --dest=../shared/groove`, or `--groove=DIR`), and an
environment of native Magenta in `.venvs/native-magenta`, which uv makes once.

Each program trains a small groovae_4bar on the whole data set with the seeds 1, 2, 3...; the losses
of each step are read from the session, in code that both share. Native trains unchanged and with a
shuffle buffer for all windows: groovae shuffles all of them, and the order of the data would
otherwise dominate the curves. The report in Markdown goes to stdout and to `--out`, progress to
stderr. Trainings found in `--work` are not repeated.

`--graphs` instead compares groovae's own graphs with each other: `--rnn=magenta` with the layerwise
one in float32 and in bfloat16. It needs no native Magenta.

`--golden` instead writes native's `model.eval` losses of a native checkpoint as JSON, for tests of
`groovae evaluate`. `--reference` is the folder with `checkpoint/` and `native_outputs.npz`.

Exit code: 0; 1 if a program failed; 3 if the report's criterion for equal learning is not met.
"""

import argparse
import dataclasses
import itertools
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from benchmark_programs import CONFIG, add_program_flags, work_folder
from benchmark_run import ROOT, Failure, log, make_native, probe, run
from benchmark_table import markdown_table

PROBE = ROOT / "scripts" / "learning_probe.py"
HPARAMS = (
    "batch_size=64,enc_rnn_size=[64],dec_rnn_size=[48,48],z_size=32,free_bits=6,"
    "dropout_keep_prob=1.0"
)
PROGRAMS = {
    "native": "native",
    "native_shuffled": "native, all windows shuffled",
    "groovae": "groovae",
}
GRAPHS = {
    "magenta": ("groovae, --rnn=magenta", ["--rnn=magenta"]),
    "float32": ("groovae, layerwise, float32", ["--matmul_precision=float32"]),
    "bfloat16": ("groovae, layerwise, bfloat16", ["--matmul_precision=bfloat16"]),
}
PACKAGES = ("magenta", "tensorflow", "tensorflow-probability", "note-seq", "numpy")
MIN_PROBABILITY = 0.05
MAX_SEEDS = 8  # 12,870 divisions of the curves into halves
DRAWS = 2000
SCRIPT = "python scripts/compare_learning.py"

Steps = list[dict[str, float]]
Curves = dict[str, list[Steps]]


class Bench:
    """Runs both programs on the data set."""

    def __init__(self, options: argparse.Namespace, work: Path):
        self.options, self.work = options, work
        # Not resolved: the link makes it the Python of its environment.
        self.python = options.groovae_python.absolute()
        if not self.python.is_file():
            raise Failure(f"{self.python}: no such Python; `bash scripts/demo.sh` makes it")
        self.native = self.python
        if not options.graphs:
            self.native = make_native(options.native_env.absolute(), options.python38)

    def versions(self, program: str) -> dict[str, str]:
        """Return the versions of the packages in a program's environment."""
        own = ["groovae"] if program == "groovae" else []
        log_file = self.work / f"versions_{program}.log"
        return self.probe(program, "versions", log_file, *own, *PACKAGES)[0]

    def probe(self, program: str, task: str, log_file: Path, *arguments: str | Path) -> list[Any]:
        python = self.native if program.startswith("native") else self.python
        *results, last = probe(python, task, log_file, *arguments, script=PROBE)
        log(f"{log_file.stem}: {last['run'].seconds:.0f} s")
        return results

    def records(self, name: str, *flags: str) -> Path:
        """Write the data set, or a split of it, as the records that both programs use."""
        output = self.work / name
        command = [self.python, "-m", "groovae", "preprocess", self.options.groove.resolve()]
        run([*command, output, *flags], output.with_suffix(".log"))
        return output

    def curves(self) -> Curves:
        """Return the losses of each step of each training of each program."""
        records = self.records("music.tfrecord")
        curves: Curves = {program: [] for program in (GRAPHS if self.options.graphs else PROGRAMS)}
        for seed in range(1, self.options.seeds + 1):
            for program in curves:
                curves[program].append(self.training(program, seed, records))
        return curves

    def training(self, program: str, seed: int, records: Path) -> Steps:
        log_file, num_steps = self.work / f"{program}_{seed}.log", self.options.steps
        steps = read_lines(log_file.with_suffix(".json"))
        if len(steps) == num_steps:
            log(f"{log_file.stem}: read from {self.work}")
            return steps
        folder = log_file.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)  # or an interrupted training would resume
        flags = [f"--config={CONFIG}", f"--hparams={HPARAMS}", f"--examples_path={records}"]
        flags += [f"--num_steps={num_steps}"]
        if program.startswith("native"):
            flags += [f"--run_dir={folder}"]
        else:
            flags += [f"--train_dir={folder}", *(GRAPHS[program][1] if program in GRAPHS else ())]
        steps = self.probe(program, "train", log_file, program, str(seed), *flags)
        shutil.rmtree(folder)
        if len(steps) != num_steps:
            raise Failure(f"{log_file.stem}: {len(steps)} steps, not {num_steps}: see {PROBE}")
        return steps


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [*map(json.loads, file.read_text().splitlines())] if file.is_file() else []


# --- the report ---


@dataclasses.dataclass(frozen=True)
class Row:
    """The mean loss over a block of steps, for each seed of native and of groovae."""

    steps: str
    native: list[float]
    groovae: list[float]

    @property
    def is_inside(self) -> bool:
        return is_inside(self.groovae, self.native)

    def cells(self) -> list[str]:
        ranges = [f"{min(seeds):.2f} to {max(seeds):.2f}" for seeds in (self.native, self.groovae)]
        cells = [self.steps, f"{fmean(self.native):.2f}", ranges[0], f"{stdev(self.native):.2f}"]
        return [*cells, f"{fmean(self.groovae):.2f}", ranges[1], "yes" if self.is_inside else "no"]


@dataclasses.dataclass(frozen=True)
class Comparison:
    """groovae beside one native: a row for each block of steps, and one for all steps."""

    native: str
    blocks: list[Row]
    all_steps: Row

    @classmethod
    def of_curves(
        cls, curves: Curves, native: str, loss: str, block: int, groovae: str = "groovae"
    ) -> "Comparison":
        def row(steps: str, part: slice) -> Row:
            both = (curves[native], curves[groovae])
            return Row(steps, *([mean(seed[part], loss) for seed in seeds] for seeds in both))

        count = len(curves[native][0])
        starts = range(0, count, block)
        blocks = [row(f"{at + 1} to {at + block}", slice(at, at + block)) for at in starts]
        title = PROGRAMS[native] if native in PROGRAMS else GRAPHS[native][0]
        return cls(title, blocks, row("all", slice(count)))

    @property
    def num_inside(self) -> int:
        return sum(row.is_inside for row in self.blocks)

    def permutation_test(self) -> tuple[float, float]:
        """Compare the number of blocks inside with that of all divisions of the curves.

        Returns:
          The share of divisions with as few blocks inside or fewer, and the mean number.
        """
        curves = [*zip(*(row.native + row.groovae for row in self.blocks), strict=True)]
        numbers = []
        for chosen in itertools.combinations(range(len(curves)), len(curves) // 2):
            native = [curve for number, curve in enumerate(curves) if number in chosen]
            groovae = [curve for number, curve in enumerate(curves) if number not in chosen]
            pairs = zip(zip(*groovae, strict=True), zip(*native, strict=True), strict=True)
            numbers.append(sum(is_inside(ours, theirs) for ours, theirs in pairs))
        return fmean(number <= self.num_inside for number in numbers), fmean(numbers)

    @property
    def is_as_native(self) -> bool:
        return self.all_steps.is_inside and self.permutation_test()[0] >= MIN_PROBABILITY

    def __str__(self) -> str:
        titles = [f"{self.native}: mean", "range", "std. dev.", "groovae: mean", "range"]
        rows = [row.cells() for row in (*self.blocks, self.all_steps)]
        probability, expected = self.permutation_test()
        summary = (
            f"{self.num_inside} of {len(self.blocks)} blocks are inside, and the mean over all "
            f"steps is {'inside' if self.all_steps.is_inside else 'outside'}. If both programs "
            f"learned alike, {expected:.1f} blocks would be inside on average, and this many or "
            f"fewer in {probability:.0%} of cases."
        )
        return f"{markdown_table(['steps', *titles, 'inside'], rows)}\n\n{summary}"


def mean(steps: Steps, loss: str) -> float:
    return fmean(step[loss] for step in steps)


def is_inside(groovae: Sequence[float], native: Sequence[float]) -> bool:
    return min(native) <= fmean(groovae) <= max(native)


REPORT = """# Learning curves beside Magenta

By the criterion below, groovae learns {verdict}. This page is the output of

    {command}

with {native}, and with {groovae}.

Both programs train `groovae_4bar` on the whole Groove MIDI Dataset, the same records in path order,
for {steps} steps with {seeds} seeds each, with

    --hparams={hparams}

A seed gives different random numbers in the two programs, so seeds are not compared pairwise.

**How to read the tables.** The loss of each seed is averaged over blocks of {block} steps. A row
shows the mean over native Magenta's seeds, their range from the lowest to the highest, and their
standard deviation, then mean and range of groovae's. "Inside" says whether groovae's mean lies in
native's range. Curves of one program would not always lie inside either, so each table has an exact
permutation test: the {all_seeds} curves are divided into two halves in all possible ways, and the
blocks inside are counted for each.

**The criterion.** In the first table, the mean over all steps is inside, and at least
{min_probability:.0%} of these divisions have as few blocks inside or fewer. Otherwise the script
exits with code 3.

## Loss, native with all windows shuffled

groovae shuffles all windows in each epoch. Native shuffles in a buffer of 10 batches. Here its
buffer holds all windows and nothing else is changed, so that learning is compared and not the order
of the data.

{shuffled}

## Loss, native unchanged

With its own buffer, native sees the data almost in file order, one drummer after another. Its loss
goes up and down with the music, at the same steps for every seed, so its range is narrow where
learning is slow. These curves are not expected to agree: the first table and this one differ
only in native's buffer.

{as_is}

## Reconstruction loss

{reconstruction}

## KL divergence in bits

{kl_bits}
"""


def report(options: argparse.Namespace, curves: Curves, versions: dict[str, str]) -> str:
    def table(native: str, loss: str) -> Comparison:
        return Comparison.of_curves(curves, native, loss, options.block)

    flags = [f"--{name}={getattr(options, name)}" for name in ("seeds", "steps", "block")]
    shuffled = table("native_shuffled", "loss")
    return REPORT.format(
        verdict="as native Magenta does"
        if shuffled.is_as_native
        else "differently from native Magenta",
        command=" ".join([SCRIPT, *flags, f"--out={options.out}"]),
        native=versions["native"],
        groovae=versions["groovae"],
        hparams=HPARAMS,
        steps=options.steps,
        seeds=options.seeds,
        all_seeds=2 * options.seeds,
        block=options.block,
        min_probability=MIN_PROBABILITY,
        shuffled=shuffled,
        as_is=table("native", "loss"),
        reconstruction=table("native_shuffled", "losses/r_loss"),
        kl_bits=table("native_shuffled", "losses/kl_bits"),
    )


GRAPHS_REPORT = """# Learning curves of the layerwise graph

By the criterion of [Learning curves beside Magenta](learning.md), the layerwise graph learns as the
graph of Magenta does {verdict}. This page is the output of

    {command}

with {groovae}. Data, hparams and the reading of the tables are those of that page; "groovae" is the
layerwise graph.

## float32

{float32}

## bfloat16

{bfloat16}
"""


def compare_graphs(bench: Bench) -> int:
    """Train with each graph, report, and return the exit code."""
    options, curves = bench.options, bench.curves()
    tables = {
        graph: Comparison.of_curves(curves, "magenta", "loss", options.block, graph)
        for graph in ("float32", "bfloat16")
    }
    equal = [graph for graph, table in tables.items() if table.is_as_native]
    flags = [f"--{name}={getattr(options, name)}" for name in ("seeds", "steps", "block")]
    text = GRAPHS_REPORT.format(
        verdict=f"in {' and '.join(equal)}" if equal else "in neither precision",
        command=" ".join([SCRIPT, "--graphs", *flags, f"--out={options.out}"]),
        groovae=", ".join(map(" ".join, bench.versions("groovae").items())),
        **tables,
    )
    print(text, end="")
    if options.out:
        options.out.write_text(text)
    return 0 if len(equal) == len(tables) else 3


def compare(bench: Bench) -> int:
    """Train, report, and return the exit code."""
    options, curves = bench.options, bench.curves()
    versions = {
        program: ", ".join(map(" ".join, bench.versions(program).items()))
        for program in ("native", "groovae")
    }
    text = report(options, curves, versions)
    print(text, end="")
    if options.out:
        options.out.write_text(text)
    table = Comparison.of_curves(curves, "native_shuffled", "loss", options.block)
    return 0 if table.is_as_native else 3


# --- golden losses ---


def golden(bench: Bench) -> int:
    """Write native's `model.eval` losses of its own checkpoint."""
    reference, options = bench.options.reference.resolve(), bench.options
    checkpoint = next(reference.glob("checkpoint/*.index"), None)
    if not checkpoint:
        raise Failure(f"{reference}: has no checkpoint; set the folder with --reference")
    inputs = (reference / "native_outputs.npz", bench.records("test.tfrecord", "--split=test"))
    arguments = (CONFIG, HPARAMS, checkpoint.with_suffix(""), *inputs, str(DRAWS))
    results = bench.probe("native", "golden", bench.work / "golden.log", *arguments)
    batches = {line["name"]: line["batches"] for line in results}
    losses = {
        "made by": f"{SCRIPT} --golden={options.golden}",
        "versions": bench.versions("native"),
        "config": CONFIG,
        "hparams": HPARAMS,
        "checkpoint": checkpoint.stem,
        "windows of batch_of_16, batches_of_8 and draws": inputs[0].name,
        "z": "mu, but in draws, where it is drawn for each batch",
        **{name: over_windows(batches[name]) for name in ("batch_of_16", "test_split")},
        "batches_of_8": {**over_windows(batches["batches_of_8"]), "each": batches["batches_of_8"]},
        "draws": over_draws(batches["draws"]),
    }
    options.golden.write_text(json.dumps(losses, indent=2) + "\n")
    return 0


def over_windows(batches: Steps) -> dict[str, float]:
    """Return the mean of each loss over windows, weighting batches by their size."""
    windows = sum(batch["windows"] for batch in batches)
    names = [name for name in batches[0] if name != "windows"]
    means = {name: sum(batch[name] * batch["windows"] for batch in batches) for name in names}
    per_window = {name: total / windows for name, total in means.items()}
    return {"windows": windows, "batches": len(batches), **per_window}


def over_draws(draws: Steps) -> dict[str, Any]:
    """Return the mean of each loss over evaluations of the same windows, and its standard error."""
    values = {name: [draw[name] for draw in draws] for name in draws[0] if name != "windows"}
    errors = {name: stdev(each) / len(draws) ** 0.5 for name, each in values.items()}
    about = {"windows": draws[0]["windows"], "draws": len(draws)}
    means = {name: fmean(each) for name, each in values.items()}
    return {**about, **means, "standard_error": errors}


# --- the command line ---


def parse(arguments: list[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("GROOVAE_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add(
        "--seeds",
        type=int,
        default=5,
        help=f"trainings per program, 2 to {MAX_SEEDS} (default 5)",
    )
    add("--steps", type=int, default=400, help="steps of each training (default 400)")
    add("--block", type=int, default=40, help="steps per row of the tables (default 40)")
    add("--out", type=Path, help="file for the report")
    add("--work", type=Path, help="folder for all files, 100 MB; default: a temporary one")
    add("--graphs", action="store_true", help="compare groovae's own graphs instead")
    add("--golden", type=Path, help="write native's losses of a checkpoint to this file instead")
    reference = shared / "reference" / "native_magenta"
    add(
        "--reference",
        type=Path,
        default=reference,
        help="native's outputs, for --golden",
    )
    add_program_flags(parser)
    options = parser.parse_args(arguments)
    if not 2 <= options.seeds <= MAX_SEEDS:
        parser.error(f"--seeds must be 2 to {MAX_SEEDS}, got {options.seeds}")
    if options.block < 1 or options.steps < 1 or options.steps % options.block:
        parser.error(f"--steps={options.steps} must be a multiple of --block={options.block}")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        with work_folder(options.work) as work:
            bench = Bench(options, work)
            if options.golden:
                return golden(bench)
            return compare_graphs(bench) if options.graphs else compare(bench)
    except Failure as failure:
        log(str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main())
