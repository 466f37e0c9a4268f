"""Does groovae learn as native Magenta 2.1.4 does? Both train the same small model, several times.

    python scripts/compare_learning.py --out=docs/learning.md           20 minutes on 2 cores
    python scripts/compare_learning.py --seeds=3 --steps=80             a look at it
    python scripts/compare_learning.py --golden=tests/native_losses.json

Any Python from 3.10 on Linux runs it. As `benchmark.py` does, it takes the groovae in `.venv`, the
Groove MIDI Dataset (`groovae download --dest=../shared/groove`, or `--groove=DIR`), and native
Magenta in an environment of its own in `.venvs/native-magenta`, which uv makes once.

Each program trains groovae_4bar, made smaller, on all of the data set with the seeds 1, 2, 3...,
and the losses of every step are read from inside the session, in code that both share. Native
trains twice: as it is, and with a shuffle buffer that holds all windows, since groovae shuffles all
of them, and the order of the data would else be all that one sees. The report, in Markdown, goes to
stdout and to `--out`, talk to stderr. Trainings that `--work` holds already are not run again.

`--golden` writes instead the losses that native's `model.eval` gives for a checkpoint that native
trained, as JSON, for tests of `groovae evaluate`. `--reference` is the folder with `checkpoint/`
and `native_outputs.npz`.

Exit code: 0, 1 if something failed, or 3 if groovae learns otherwise than native with all windows
shuffled, as the report defines it.
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

from benchmark import CONFIG, work_folder
from benchmark_run import ROOT, Failure, make_native, probe, run

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
PACKAGES = ("magenta", "tensorflow", "tensorflow-probability", "note-seq", "numpy")
TOO_RARE = 0.05
MAX_SEEDS = 8  # 12,870 ways to divide the curves
DRAWS = 2000
SCRIPT = "python scripts/compare_learning.py"

Steps = list[dict[str, float]]
Curves = dict[str, list[Steps]]


def say(line: str) -> None:
    print(f"compare_learning: {line}", file=sys.stderr, flush=True)


class Bench:
    """Both programs and the data."""

    def __init__(self, options: argparse.Namespace, work: Path):
        self.options, self.work = options, work
        # Not resolved: the link is what makes it the Python of an environment.
        self.python = options.groovae_python.absolute()
        if not self.python.is_file():
            raise Failure(f"{self.python}: no such Python; `bash scripts/demo.sh` makes it")
        self.native = make_native(options.native_env.absolute(), options.python38)

    def versions(self, program: str) -> dict[str, str]:
        """What an environment consists of."""
        own = ["groovae"] if program == "groovae" else []
        log = self.work / f"versions_{program}.log"
        return self.probe(program, "versions", log, *own, *PACKAGES)[0]

    def probe(self, program: str, task: str, log: Path, *arguments: str | Path) -> list[Any]:
        python = self.python if program == "groovae" else self.native
        *told, ran = probe(python, task, log, *arguments, script=PROBE)
        say(f"{log.stem}: {ran['run'].seconds:.0f} s")
        return told

    def records(self, name: str, *flags: str) -> Path:
        """The data set, or a split of it, as the records that both programs write."""
        output = self.work / name
        command = [self.python, "-m", "groovae", "preprocess", self.options.groove.resolve()]
        run([*command, output, *flags], output.with_suffix(".log"))
        return output

    def curves(self) -> Curves:
        """The losses of each step of each training of each program."""
        records = self.records("music.tfrecord")
        curves: Curves = {program: [] for program in PROGRAMS}
        for seed in range(1, self.options.seeds + 1):
            for program in PROGRAMS:
                curves[program].append(self.training(program, seed, records))
        return curves

    def training(self, program: str, seed: int, records: Path) -> Steps:
        log, steps = self.work / f"{program}_{seed}.log", self.options.steps
        told = read_lines(log.with_suffix(".json"))
        if len(told) == steps:
            say(f"{log.stem}: taken from {self.work}")
            return told
        folder = log.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)  # or an interrupted training would go on
        flags = [f"--config={CONFIG}", f"--hparams={HPARAMS}", f"--examples_path={records}"]
        flags += [f"--num_steps={steps}"]
        flags += [f"--train_dir={folder}" if program == "groovae" else f"--run_dir={folder}"]
        told = self.probe(program, "train", log, program, str(seed), *flags)
        shutil.rmtree(folder)
        if len(told) != steps:
            raise Failure(f"{log.stem}: told of {len(told)} steps, not {steps}: see {PROBE}")
        return told


def read_lines(file: Path) -> list[dict[str, Any]]:
    return [*map(json.loads, file.read_text().splitlines())] if file.is_file() else []


# --- the report ---


@dataclasses.dataclass(frozen=True)
class Row:
    """Some steps: the mean loss over them of each seed of native and of groovae."""

    steps: str
    native: list[float]
    groovae: list[float]

    @property
    def is_inside(self) -> bool:
        return is_inside(self.groovae, self.native)

    def __str__(self) -> str:
        spreads = [f"{min(seeds):.2f} to {max(seeds):.2f}" for seeds in (self.native, self.groovae)]
        cells = [self.steps, f"{fmean(self.native):.2f}", spreads[0], f"{stdev(self.native):.2f}"]
        cells += [f"{fmean(self.groovae):.2f}", spreads[1], "yes" if self.is_inside else "no"]
        return f"| {' | '.join(cells)} |"


@dataclasses.dataclass(frozen=True)
class Table:
    """groovae beside one native: a row for each block of steps, and one for all steps."""

    native: str
    blocks: list[Row]
    all_steps: Row

    @classmethod
    def of(cls, curves: Curves, native: str, loss: str, block: int) -> "Table":
        def row(steps: str, part: slice) -> Row:
            both = (curves[native], curves["groovae"])
            return Row(steps, *([mean(seed[part], loss) for seed in seeds] for seeds in both))

        count = len(curves[native][0])
        starts = range(0, count, block)
        blocks = [row(f"{at + 1} to {at + block}", slice(at, at + block)) for at in starts]
        return cls(PROGRAMS[native], blocks, row("all", slice(count)))

    @property
    def num_inside(self) -> int:
        return sum(row.is_inside for row in self.blocks)

    def chance(self) -> tuple[float, float]:
        """What the number of blocks inside would be if it did not matter which program ran.

        Returns:
          How often it would be as small as it is, and its mean, over all ways to call half of the
          curves native's (an exact permutation test).
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
        return self.all_steps.is_inside and self.chance()[0] >= TOO_RARE

    def __str__(self) -> str:
        titles = [f"{self.native}: mean", "range", "std. dev.", "groovae: mean", "range"]
        lines = [f"| steps | {' | '.join(titles)} | inside |", "|---|--:|:-:|--:|--:|:-:|:-:|"]
        how_often, expected = self.chance()
        said = (
            f"{self.num_inside} of {len(self.blocks)} blocks are inside, and the mean over all "
            f"steps is {'inside' if self.all_steps.is_inside else 'outside'}. If both programs "
            f"learned alike, {expected:.1f} blocks would be inside on average, and this many or "
            f"fewer in {how_often:.0%} of cases."
        )
        return "\n".join([*lines, *map(str, self.blocks), str(self.all_steps), "", said])


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
{too_rare:.0%} of these divisions have as few blocks inside or fewer. Otherwise the script
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
    def table(native: str, loss: str) -> Table:
        return Table.of(curves, native, loss, options.block)

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
        too_rare=TOO_RARE,
        shuffled=shuffled,
        as_is=table("native", "loss"),
        reconstruction=table("native_shuffled", "losses/r_loss"),
        kl_bits=table("native_shuffled", "losses/kl_bits"),
    )


def compare(bench: Bench) -> int:
    """Trains, reports, and returns the exit code."""
    options, curves = bench.options, bench.curves()
    versions = {
        program: ", ".join(map(" ".join, bench.versions(program).items()))
        for program in ("native", "groovae")
    }
    text = report(options, curves, versions)
    print(text, end="")
    if options.out:
        options.out.write_text(text)
    table = Table.of(curves, "native_shuffled", "loss", options.block)
    return 0 if table.is_as_native else 3


# --- golden losses ---


def golden(bench: Bench) -> int:
    """Writes what native's `model.eval` says of its own checkpoint."""
    reference, options = bench.options.reference.resolve(), bench.options
    checkpoint = next(reference.glob("checkpoint/*.index"), None)
    if not checkpoint:
        raise Failure(f"{reference}: no checkpoint in it; name the folder with --reference")
    inputs = (reference / "native_outputs.npz", bench.records("test.tfrecord", "--split=test"))
    arguments = (CONFIG, HPARAMS, checkpoint.with_suffix(""), *inputs, str(DRAWS))
    told = bench.probe("native", "golden", bench.work / "golden.log", *arguments)
    batches = {line["name"]: line["batches"] for line in told}
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
    """The mean of each loss over windows, of which some batches have more than others."""
    windows = sum(batch["windows"] for batch in batches)
    names = [name for name in batches[0] if name != "windows"]
    means = {name: sum(batch[name] * batch["windows"] for batch in batches) for name in names}
    per_window = {name: total / windows for name, total in means.items()}
    return {"windows": windows, "batches": len(batches), **per_window}


def over_draws(draws: Steps) -> dict[str, Any]:
    """The mean of each loss over evaluations of the same windows, and its standard error."""
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
    add("--groove", type=Path, default=shared / "groove", help="the Groove MIDI Dataset")
    add("--seeds", type=int, default=5, help=f"trainings of each, 2 to {MAX_SEEDS} (default 5)")
    add("--steps", type=int, default=400, help="steps of each training (default 400)")
    add("--block", type=int, default=40, help="steps in a row of the tables (default 40)")
    add("--out", type=Path, help="a file for the report")
    add("--work", type=Path, help="folder for all that is made; default: temporary, 100 MB")
    add("--golden", type=Path, help="write native's losses of a checkpoint to this file instead")
    reference = shared / "reference" / "native_magenta"
    add("--reference", type=Path, default=reference, help="what native has made, for --golden")
    environment = ROOT / ".venvs" / "native-magenta"
    add("--native_env", type=Path, default=environment, help="native's environment")
    add("--python38", help="a Python 3.8 to make it with; default: what uv or pyenv has")
    groovae = ROOT / ".venv" / "bin" / "python"
    add("--groovae_python", type=Path, default=groovae, help="the Python that has groovae")
    options = parser.parse_args(arguments)
    if not 2 <= options.seeds <= MAX_SEEDS:
        parser.error(f"--seeds must be 2 to {MAX_SEEDS}, got {options.seeds}")
    if options.block < 1 or options.steps < 1 or options.steps % options.block:
        parser.error(f"--steps must be some times --block, got {options.steps} and {options.block}")
    return options


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    try:
        with work_folder(options.work) as work:
            bench = Bench(options, work)
            return golden(bench) if options.golden else compare(bench)
    except Failure as failure:
        say(str(failure))
        return 1


if __name__ == "__main__":
    sys.exit(main())
