"""Run the two programs that `benchmark.py` compares: native Magenta and groovae."""

import argparse
import collections
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from benchmark_run import PROBE, ROOT, Failure, Run, log, make_native, probe, run
from benchmark_table import Section

CONFIG = "groovae_4bar"
TINY_MODEL = "--hparams=batch_size=64,enc_rnn_size=[8],dec_rnn_size=[8,8],z_size=4"
# The number of steps and the batch size of a training do not change how long sampling takes.
ONE_STEP = ("--num_steps=1", "--hparams=batch_size=8")
DECODE_REPEATS = {1: 200, 64: 40, 512: 5}  # by batch size: small batches are short and noisy
STEPS_LEFT_OUT = 2  # the first sets up the graph, the second still allocates memory

# The events that benchmark_probe.py marks in a training, and the phases between them.
MARKS = ("imported", "graph", "session", "ready", "step")
PHASES = ("import", "windows", "graph", "session", "warm-up", "step")
# The phases of sampling: each ends at the mark of its name, the last one with the process.
SAMPLE_PHASES = ("import", "graph", "restore", "decode", "write")


class Bench:
    """Runs both programs on the data set; makes what several sections need."""

    def __init__(self, options: argparse.Namespace, work: Path):
        self.options, self.work = options, work
        self.groove = options.groove.resolve()
        # Not resolved: the link makes it the Python of its environment.
        self.python = options.groovae_python.absolute()
        self.native = Path()
        self.cores = len(os.sched_getaffinity(0))

    def prepare(self) -> None:
        """Check that everything is there; compile it and load it into the page cache."""
        if not any(self.groove.rglob("*.mid")):
            raise Failure(
                f"{self.groove}: has no MIDI file; download the Groove MIDI Dataset with `groovae "
                f"download --dest={self.options.groove}`, or set its folder with --groove"
            )
        if not self.python.is_file():
            raise Failure(f"{self.python}: no such Python; `bash scripts/demo.sh` makes it")
        groovae_imports = (
            "import groovae.training.train, groovae.data.preprocess, "
            "groovae.generation.loading, groovae.cli.commands.sample"
        )
        run([self.python, "-c", groovae_imports], self.work / "import_groovae.log")
        if set(self.options.sections) & {"preprocess", "first_step", "steps", "sample"}:
            self.native = make_native(self.options.native_env.absolute(), self.options.python38)
            for script in ("train", "generate"):  # their flags clash in one process
                native_import = f"import magenta.models.music_vae.music_vae_{script}"
                run([self.native, "-c", native_import], self.work / "import_native.log")

    def rounds(self) -> Iterator[tuple[int, int]]:
        """Yield the number of each round, and 1 or -1 as the order of programs in it."""
        for number in range(1, self.options.repeat + 1):
            yield number, 1 if number % 2 else -1

    def preprocess(self, folder: Path, output: Path, *flags: str) -> Run:
        command = [self.python, "-m", "groovae", "preprocess", folder, output, *flags]
        return run(command, output.with_suffix(".log"))

    def preprocess_native(self, folder: Path, output: Path) -> Run:
        script = "magenta.scripts.convert_dir_to_note_sequences"
        flags = [f"--input_dir={folder}", f"--output_file={output}", "--recursive"]
        return run([self.native, "-m", script, *flags], output.with_suffix(".log"))

    @functools.cached_property
    def records(self) -> Path:
        """The whole data set as records."""
        output = self.work / "records" / "music.tfrecord"
        output.parent.mkdir(exist_ok=True)
        log("making the records")
        self.preprocess(self.groove, output)
        return output

    @functools.cached_property
    def checkpoint(self) -> Path:
        """A checkpoint of the full model, from which both programs sample."""
        folder = self.work / "checkpoint"
        shutil.rmtree(folder, ignore_errors=True)
        log("training one step for a checkpoint")
        command = [self.python, "-m", "groovae", "train", f"--config={CONFIG}", *ONE_STEP]
        files = [f"--train_dir={folder}", f"--examples_path={self.records}"]
        run([*command, *files], self.work / "checkpoint.log")
        remove_cached_windows(self.records)
        return max(folder.glob("model.ckpt-*.index")).with_suffix("")

    @functools.cached_property
    def exported(self) -> Path:
        """The same checkpoint, exported to ONNX."""
        folder = self.work / "export"
        shutil.rmtree(folder, ignore_errors=True)
        flags = ["--format=onnx", f"--checkpoint={self.checkpoint}", f"--out={folder}"]
        log("exporting the checkpoint")
        run([self.python, "-m", "groovae", "export", *flags], self.work / "export.log")
        return folder

    def model(self, program: str) -> Path:
        """Return the model of a program: "native", "groovae", "tensorflow" or "onnx"."""
        return self.exported if program == "onnx" else self.checkpoint

    def sample(self, program: str, log_file: Path) -> tuple[Run, dict[str, float]]:
        """Sample one groove in a process of its own; return the run and seconds by phase."""
        folder = log_file.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        if program == "native":
            python = self.native
            flags = [f"--config={CONFIG}", f"--checkpoint_file={self.checkpoint}", "--mode=sample"]
            flags += ["--num_outputs=1", f"--output_dir={folder}"]
        else:
            python = self.python
            flags = [f"--checkpoint={self.model(program)}", f"--out={folder / 'groove.mid'}"]
        *marks, last = probe(python, "sample", log_file, program, *flags)
        written = len([*folder.glob("*.mid")])
        if written != 1:
            raise Failure(f"{program} wrote {written} MIDI files instead of one; see {log_file}")
        return last["run"], sample_phases(marks, last["run"])

    def add_cold_start(self, section: Section, programs: Sequence[str], **target: float) -> None:
        """Add sampling one groove, from the start of the process to its end."""
        runs: dict[str, list[Run]] = {program: [] for program in programs}
        phases: dict[str, list[dict[str, float]]] = {program: [] for program in programs}
        self.model(programs[-1])  # made before the clock starts
        for number, order in self.rounds():
            for program in programs[::order]:
                log(f"round {number}: sample, {program}")
                ran, seconds = self.sample(program, self.work / f"sample_{program}.log")
                runs[program].append(ran)
                phases[program].append(seconds)
        seconds_of = (median([ran.seconds for ran in runs[program]]) for program in programs)
        section.add("sampling one groove, whole command", "s", *seconds_of, **target)
        peaks = (max(ran.peak_mb for ran in runs[program]) for program in programs)
        section.add("sampling one groove, peak memory", "MB", *peaks)
        for program in programs:
            section.add_phases(program, phases[program])
        section.notes.append(
            "Phases: import lasts until the model is constructed; write is all after the last "
            "decoding, including the end of the process."
        )

    def add_decoding(
        self, section: Section, programs: Sequence[str], batch_size: int, **target: float
    ) -> list[dict[str, Any]]:
        """Add the sequences per second of a warm model.

        Returns:
          The last result of each program; see `benchmark_probe.decode`.
        """
        seconds: dict[str, list[float]] = {program: [] for program in programs}
        results: dict[str, dict[str, Any]] = {}
        repeats = str(DECODE_REPEATS[batch_size])
        for number, order in self.rounds():
            for program in programs[::order]:
                log(f"round {number}: decode, {program}, batches of {batch_size}")
                python = self.native if program == "native" else self.python
                log_file = self.work / f"decode_{program}_{batch_size}.log"
                arguments = (program, self.model(program), CONFIG, str(batch_size), repeats)
                results[program] = probe(python, "decode", log_file, *arguments)[0]
                seconds[program] += results[program]["seconds"]
        rates = (batch_size / median(seconds[program]) for program in programs)
        section.add(f"decoding in batches of {batch_size}", "/s", *rates, **target)
        section.notes.append(
            f"Batches of {batch_size}: medians of {len(seconds[programs[0]])}, four bars each."
        )
        return [results[program] for program in programs]

    def train(self, program: str, log_file: Path, records: Path, *flags: str) -> "Training":
        folder = log_file.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)  # or an interrupted training would resume
        arguments = [f"--config={CONFIG}", f"--examples_path={records}", *flags]
        if program == "native":
            python = self.native
            arguments += [f"--run_dir={folder}", "--mode=train"]
        else:
            python = self.python
            arguments += [f"--train_dir={folder}"]
        results = probe(python, "train", log_file, program, *arguments)
        shutil.rmtree(folder)
        return Training.from_marks(results)

    @functools.cached_property
    def trainings(self) -> dict[str, list["Training"]]:
        """Trainings of the full model by name, for two sections."""
        steps = f"--num_steps={self.options.steps + STEPS_LEFT_OUT}"
        trainings: dict[str, list[Training]] = {"native": [], "first": [], "second": []}
        for number, order in self.rounds():
            for name in list(trainings)[::order]:
                if name == "first":
                    remove_cached_windows(self.records)
                log(f"round {number}: training, {name}")
                file = self.work / f"train_{name}_{number}.log"
                program = "native" if name == "native" else "groovae"
                trainings[name].append(self.train(program, file, self.records, steps))
        return trainings


def remove_cached_windows(records: Path) -> None:
    """Remove the files of earlier trainings beside the records."""
    for file in records.parent.glob(f"{records.name}.*"):
        if not file.name.endswith(".report.json"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()


@dataclasses.dataclass(frozen=True)
class Training:
    """The measurements of a training.

    Attributes:
      phases: Seconds by phase, up to the end of the first step.
      first_step: Seconds from the start of the process to the end of the first step.
      step_seconds: Seconds of each later step.
      step_cpu: Seconds of processor time of each later step.
      run: The process.
    """

    phases: dict[str, float]
    first_step: float
    step_seconds: list[float]
    step_cpu: list[float]
    run: Run

    @classmethod
    def from_marks(cls, results: list[dict[str, Any]]) -> "Training":
        *marks, last = results
        ran: Run = last["run"]
        first_at: dict[str, float] = {}
        for mark in reversed(marks):
            first_at[mark["mark"]] = mark["at"] - ran.started
        missing = [name for name in MARKS if name not in first_at]
        if missing:
            raise Failure(f"the training never passed {', '.join(missing)}: {PROBE} is outdated")
        steps = [mark for mark in marks if mark["mark"] == "step"]
        pairs = [*itertools.pairwise(steps)][STEPS_LEFT_OUT - 1 :]
        seconds, cpu = ([b[clock] - a[clock] for a, b in pairs] for clock in ("at", "cpu"))
        ends = [0.0, *(first_at[name] for name in MARKS)]
        ends.insert(-1, max(ends[-2], first_at["step"] - median(seconds)))
        phases = {name: ends[i + 1] - ends[i] for i, name in enumerate(PHASES)}
        return cls(phases, first_at["step"], seconds, cpu, ran)


def sample_phases(marks: list[dict[str, Any]], ran: Run) -> dict[str, float]:
    """Return the seconds of each phase; 0 for a phase that a program does not have."""
    last_at = {mark["mark"]: mark["at"] - ran.started for mark in marks}
    last_at[SAMPLE_PHASES[-1]] = ran.seconds
    phases, before = {}, 0.0
    for name in SAMPLE_PHASES:
        phases[name] = max(0.0, last_at.get(name, before) - before)
        before += phases[name]
    return phases


def same_records(files: list[Path]) -> int:
    """Check that TFRecord files hold the same records in any order; return their number."""
    first, *others = (collections.Counter(record_hashes(file)) for file in files)
    for file, other in zip(files[1:], others, strict=True):
        if other != first:
            different = ((first - other) + (other - first)).total()
            raise Failure(f"{file.name} and {files[0].name} differ in {different:,} records")
    return first.total()


def record_hashes(file: Path) -> Iterator[bytes]:
    """Yield the SHA-256 of each record; around it are 8 bytes of length and two checksums of 4."""
    with open(file, "rb") as records:
        while header := records.read(12):
            record = records.read(int.from_bytes(header[:8], "little"))
            records.read(4)
            yield hashlib.sha256(record).digest()


def add_program_flags(parser: argparse.ArgumentParser) -> None:
    """Define the flags that locate the data set and both programs."""
    add = parser.add_argument
    shared = Path(os.environ.get("GROOVAE_SHARED", ROOT.parent / "shared"))
    add("--groove", type=Path, default=shared / "groove", help="folder of the Groove MIDI Dataset")
    environment = ROOT / ".venvs" / "native-magenta"
    add("--native_env", type=Path, default=environment, help="environment of native Magenta")
    add("--python38", help="Python 3.8 for that environment; default: uv's or pyenv's")
    groovae = ROOT / ".venv" / "bin" / "python"
    add("--groovae_python", type=Path, default=groovae, help="Python that has groovae")


@contextlib.contextmanager
def work_folder(folder: Path | None) -> Iterator[Path]:
    """Yield the folder, which is made if missing, or a temporary one."""
    if folder:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder.resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="groovae_benchmark_") as temporary:
            yield Path(temporary)
