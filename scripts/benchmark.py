"""groovae beside native Magenta 2.1.4, measured in one run on one machine.

    python scripts/benchmark.py                           all of it: about an hour on 2 cores
    python scripts/benchmark.py preprocess windows        some of it
    python scripts/benchmark.py --repeat=3 --json         as JSON, medians of 3
    python scripts/benchmark.py memory --files=1000,10000

Any Python from 3.10 on Linux runs it. It measures the groovae in `.venv`, which `bash
scripts/demo.sh` makes, on the Groove MIDI Dataset (`groovae download --dest=../shared/groove`, or
`--groove=DIR`). Native Magenta gets an environment of its own in `.venvs/native-magenta`, made once
by uv: Python 3.8 and the versions that Magenta was made for. For figures that mean something, let
nothing else run; the ratios of one run count, not seconds of two.

  preprocess   the whole command, from the start of the process to its end, and the converting alone
               for each number of workers; all must write the same records
  windows      NoteSequences to tensors, in one process, Magenta's converter and ours in turns,
               every byte compared
  first_step   from the start of `train` to the end of its first step, for the full model: native,
               groovae for the first time on these records, and groovae once more
  steps        seconds a step and peak memory, in the same trainings
  sample       from the start of the process to its end: one groove of four bars as a MIDI file, by
               `groovae sample` and by Magenta's `music_vae_generate`, and where the time goes; and
               sequences a second that a warm model decodes in batches of 512
  onnx         the same of groovae alone: an exported model by onnxruntime beside the checkpoint it
               came from by TensorFlow, in batches of 1, 64 and 512; both must play the same hits
  memory       whether `preprocess` and `train` need more memory for more files: copies of short
               files under other names, and a tiny model, as neither changes what must stay flat

Native and groovae take turns, and the order turns around from round to round. Trainings and
samplings run through `benchmark_probe.py`, which marks the same moments in code that both share.
Bytecode is compiled and files are in the page cache before the clock starts. Memory is that of the
process and all below it, looked at ten times a second: RSS, or the sum of PSS, which counts shared
pages once, where there are workers. "Own memory" leaves out mapped files, which the system takes
back when it wants. With `--work` in a memory file system, though, mapped files are memory: take a
disk.

The table goes to stdout, talk to stderr. Exit code: 0, or 1 if something failed, or, with
`--require`, 3 if a target was missed.
"""

import argparse
import collections
import contextlib
import dataclasses
import functools
import hashlib
import itertools
import json
import os
import platform
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median
from typing import Any

from benchmark_onnx import onnx_section
from benchmark_run import PROBE, ROOT, Failure, Run, busy_elsewhere, make_native, probe, run, say
from benchmark_table import Section, show

CONFIG = "groovae_4bar"
TINY_MODEL = "--hparams=batch_size=64,enc_rnn_size=[8],dec_rnn_size=[8,8],z_size=4"
STEPS_LEFT_OUT = 2  # the first sets up the graph, the second still finds cold memory
SHORT_FILE_BYTES = 1000  # enough for the four bars that make a window

# The moments that benchmark_probe.py marks, and what lies between them.
MARKS = ("imported", "graph", "session", "ready", "step")
PHASES = ("import", "windows", "graph", "session", "warm-up", "step")
# Of sampling: each phase ends with the mark of its name, the last one with the process. One that
# a program does not pass through takes no time.
SAMPLE_PHASES = ("import", "graph", "restore", "decode", "write")

# Neither the steps of a training nor its batch size change how long sampling takes.
ONE_STEP = ("--num_steps=1", "--hparams=batch_size=8")
DECODED = 512
DECODINGS = 5

# What the figures must reach. Flat and linear leave room for the noise of a machine.
PREPROCESS_FASTER = 2.2
LINEAR = 0.85
WINDOWS_FASTER = 10.0
FIRST_START_FASTER = 2.5
SECOND_START_FASTER = 2.8
STEPS_AS_FAST = 0.97
COLD_START_FASTER = 2.5
DECODE_AS_FAST = 1.0
MEMORY_AT_MOST = 1.0
FLAT = 1.1


# --- the sections ---


class Bench:
    """Both programs, the data, and what several sections need."""

    def __init__(self, options: argparse.Namespace, work: Path):
        self.options, self.work = options, work
        self.groove = options.groove.resolve()
        # Not resolved: the link is what makes it the Python of an environment.
        self.python = options.groovae_python.absolute()
        self.native = Path()
        self.cores = len(os.sched_getaffinity(0))

    def prepare(self) -> None:
        """Makes sure that all is there, compiled, and in the page cache."""
        if not any(self.groove.rglob("*.mid")):
            raise Failure(
                f"{self.groove}: no MIDI file in it; fetch the Groove MIDI Dataset with "
                f"`groovae download --dest={self.options.groove}`, or name it with --groove"
            )
        if not self.python.is_file():
            raise Failure(f"{self.python}: no such Python; `bash scripts/demo.sh` makes it")
        ours = (
            "import groovae.training.train, groovae.data.preprocess, "
            "groovae.generation.groove_model, groovae.cli.commands.sample"
        )
        run([self.python, "-c", ours], self.work / "import_groovae.log")
        if set(self.options.sections) & {"preprocess", "first_step", "steps", "sample"}:
            self.native = make_native(self.options.native_env.absolute(), self.options.python38)
            for script in ("train", "generate"):  # in one process their flags clash
                theirs = f"import magenta.models.music_vae.music_vae_{script}"
                run([self.native, "-c", theirs], self.work / "import_native.log")

    def rounds(self) -> Iterator[tuple[int, int]]:
        """The number of each round, and 1 or -1 for the order to go through a list in."""
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
        """All of the data set as records, on which both train."""
        output = self.work / "records" / "music.tfrecord"
        output.parent.mkdir(exist_ok=True)
        say("making the records")
        self.preprocess(self.groove, output)
        return output

    @functools.cached_property
    def checkpoint(self) -> Path:
        """A checkpoint of the full model, from which both sample."""
        folder = self.work / "checkpoint"
        shutil.rmtree(folder, ignore_errors=True)
        say("training a step for a checkpoint")
        command = [self.python, "-m", "groovae", "train", f"--config={CONFIG}", *ONE_STEP]
        files = [f"--train_dir={folder}", f"--examples_path={self.records}"]
        run([*command, *files], self.work / "checkpoint.log")
        forget_windows(self.records)
        return max(folder.glob("model.ckpt-*.index")).with_suffix("")

    @functools.cached_property
    def exported(self) -> Path:
        """The same checkpoint, exported to ONNX."""
        folder = self.work / "export"
        shutil.rmtree(folder, ignore_errors=True)
        flags = ["--format=onnx", f"--checkpoint={self.checkpoint}", f"--out={folder}"]
        say("exporting the checkpoint")
        run([self.python, "-m", "groovae", "export", *flags], self.work / "export.log")
        return folder

    def model(self, who: str) -> Path:
        """What a program plays: native, groovae, or groovae by tensorflow or onnx."""
        return self.exported if who == "onnx" else self.checkpoint

    def sample(self, who: str, log: Path) -> tuple[Run, dict[str, float]]:
        """Samples one groove in a process of its own: how it ran, and the seconds of each phase."""
        folder = log.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        if who == "native":
            flags = [f"--config={CONFIG}", f"--checkpoint_file={self.checkpoint}", "--mode=sample"]
            flags += ["--num_outputs=1", f"--output_dir={folder}"]
        else:
            flags = [f"--checkpoint={self.model(who)}", f"--out={folder / 'groove.mid'}"]
        python = self.native if who == "native" else self.python
        *told, last = probe(python, "sample", log, who, *flags)
        written = len([*folder.glob("*.mid")])
        if written != 1:
            raise Failure(f"{who} wrote {written} MIDI files instead of one; see {log}")
        return last["run"], sample_phases(told, last["run"])

    def decode(self, who: str, log: Path, batch_size: int, times: int) -> dict[str, Any]:
        """Decodes a batch again and again in a process of its own; see `benchmark_probe.decode`."""
        python = self.native if who == "native" else self.python
        arguments = (who, self.model(who), CONFIG, str(batch_size), str(times))
        told, _ = probe(python, "decode", log, *arguments)
        return told

    def train(self, who: str, log: Path, records: Path, *flags: str) -> "Training":
        folder = log.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)  # or an interrupted training would go on
        arguments = [f"--config={CONFIG}", f"--examples_path={records}", *flags]
        if who == "native":
            arguments += [f"--run_dir={folder}", "--mode=train"]
        else:
            arguments += [f"--train_dir={folder}"]
        python = self.native if who == "native" else self.python
        told = probe(python, "train", log, who, *arguments)
        shutil.rmtree(folder)
        return Training.of(told)

    @functools.cached_property
    def trainings(self) -> dict[str, list["Training"]]:
        """Trainings of the full model by name, which two sections look at."""
        steps = f"--num_steps={self.options.steps + STEPS_LEFT_OUT}"
        trained: dict[str, list[Training]] = {"native": [], "first": [], "second": []}
        for number, order in self.rounds():
            for name in list(trained)[::order]:
                if name == "first":
                    forget_windows(self.records)
                say(f"round {number}: training, {name}")
                log = self.work / f"train_{name}_{number}.log"
                who = "native" if name == "native" else "groovae"
                trained[name].append(self.train(who, log, self.records, steps))
        return trained


def forget_windows(records: Path) -> None:
    """Removes all that an earlier training left beside the records."""
    for file in records.parent.glob(f"{records.name}.*"):
        if not file.name.endswith(".report.json"):
            shutil.rmtree(file) if file.is_dir() else file.unlink()


@dataclasses.dataclass(frozen=True)
class Training:
    """A training that was watched: seconds to the end of its first step, by phase, and memory."""

    phases: dict[str, float]
    first_step: float
    step_seconds: list[float]
    step_cpu: list[float]
    run: Run

    @classmethod
    def of(cls, told: list[dict[str, Any]]) -> "Training":
        ran: Run = told[-1]["run"]
        at: dict[str, float] = {}
        for line in reversed(told[:-1]):
            at[line["mark"]] = line["at"] - ran.started
        missing = [name for name in MARKS if name not in at]
        if missing:
            raise Failure(f"the training never passed {', '.join(missing)}: {PROBE} is outdated")
        steps = [line for line in told[:-1] if line["mark"] == "step"]
        pairs = [*itertools.pairwise(steps)][STEPS_LEFT_OUT - 1 :]
        took, cpu = ([b[clock] - a[clock] for a, b in pairs] for clock in ("at", "cpu"))
        ends = [0.0, *(at[name] for name in MARKS)]
        ends.insert(-1, max(ends[-2], at["step"] - median(took)))
        phases = {name: ends[i + 1] - ends[i] for i, name in enumerate(PHASES)}
        return cls(phases, at["step"], took, cpu, ran)


def preprocess_section(bench: Bench) -> Iterator[Section]:
    whole: dict[str, list[Run]] = {"native": [], "all": [], "one": []}
    outputs = {name: bench.work / f"preprocess_{name}.tfrecord" for name in whole}
    for number, order in bench.rounds():
        for name in list(whole)[::order]:
            say(f"round {number}: preprocess, {name}")
            if name == "native":
                ran = bench.preprocess_native(bench.groove, outputs[name])
            else:
                flags = ["--workers=1"] if name == "one" else []
                ran = bench.preprocess(bench.groove, outputs[name], *flags)
            whole[name].append(ran)
    section = Section("preprocess", "native Magenta")
    for name, what in (("all", f"{bench.cores} workers"), ("one", "1 worker")):
        target = {"at_least": PREPROCESS_FASTER} if name == "all" else {}
        seconds = (median([ran.seconds for ran in whole[who]]) for who in ("native", name))
        section.add(f"whole command, {what}", "s", *seconds, **target)
        peaks = (max(ran.peak_mb for ran in whole[who]) for who in ("native", name))
        section.add(f"peak memory, {what}", "MB", *peaks)
    count = same_records(list(outputs.values()))
    section.notes.append(f"all wrote the same {count:,} records")
    yield section
    yield converting_section(bench)


def converting_section(bench: Bench) -> Section:
    """The converting alone, which more workers should do in as many parts of the time."""
    counts = sorted({1, bench.cores, *(2**n for n in range(9) if 2**n < bench.cores)})
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    for number, order in bench.rounds():
        for count in counts[::order]:
            say(f"round {number}: converting, workers: {count}")
            log = bench.work / f"convert_{count}.log"
            arguments = (bench.groove, log.with_suffix(".tfrecord"), CONFIG, str(count))
            told, _ = probe(bench.python, "convert", log, *arguments)
            seconds[count].append(told["seconds"])
    section = Section("converting", "groovae with 1 worker")
    for count in counts[1:]:
        times = median(seconds[1]), median(seconds[count])
        section.add(f"{count} workers", "s", *times, at_least=round(LINEAR * count, 2))
    section.notes.append("imports done, from the first look at the folder to the finished file")
    return section


def same_records(files: list[Path]) -> int:
    """Checks that TFRecord files hold the same records, in whatever order; returns how many."""
    first, *others = (collections.Counter(record_hashes(file)) for file in files)
    for file, other in zip(files[1:], others, strict=True):
        if other != first:
            different = ((first - other) + (other - first)).total()
            raise Failure(f"{file.name} and {files[0].name} differ in {different:,} records")
    return first.total()


def record_hashes(file: Path) -> Iterator[bytes]:
    """SHA-256 of each record; around it are 8 bytes of length and two checksums of 4."""
    with open(file, "rb") as records:
        while header := records.read(12):
            record = records.read(int.from_bytes(header[:8], "little"))
            records.read(4)
            yield hashlib.sha256(record).digest()


def windows_section(bench: Bench) -> Iterator[Section]:
    told = []
    for number, _ in bench.rounds():
        say(f"round {number}: windows")
        log = bench.work / "windows.log"
        told.append(probe(bench.python, "windows", log, bench.records, CONFIG)[0])
        if told[-1]["different"]:
            raise Failure(f"the windows of {told[-1]['different']:,} sequences differ")
    times = (median([round_[who] for round_ in told]) for who in ("magenta", "groovae"))
    section = Section("windows", "Magenta's converter in groovae's environment")
    section.add("NoteSequences to tensors", "s", *times, at_least=WINDOWS_FASTER)
    section.notes.append(
        f"{told[0]['windows']:,} windows of {told[0]['sequences']:,} sequences, equal byte for byte"
    )
    yield section


def first_step_section(bench: Bench) -> Iterator[Section]:
    section = Section("first_step", "native Magenta")
    targets = {"first": FIRST_START_FASTER, "second": SECOND_START_FASTER}
    native = median([training.first_step for training in bench.trainings["native"]])
    for name, target in targets.items():
        ours = median([training.first_step for training in bench.trainings[name]])
        section.add(f"start to end of step 1, {name} start", "s", native, ours, at_least=target)
    for who, trainings in bench.trainings.items():
        label = who if who == "native" else f"groovae, {who} start"
        section.add_phases(label, [training.phases for training in trainings])
    section.notes.append(
        "windows: from the imports to the graph, where native makes none yet; warm-up: step 1 "
        "beyond a usual step, in which the pipeline fills and TensorFlow optimises the graph"
    )
    yield section


def steps_section(bench: Bench) -> Iterator[Section]:
    section = Section("steps", "native Magenta")
    ours = bench.trainings["first"] + bench.trainings["second"]
    both = (bench.trainings["native"], ours)
    seconds = (median([one for each in who for one in each.step_seconds]) for who in both)
    section.add("a step of 512 windows", "s", *seconds, at_least=STEPS_AS_FAST)
    cpu = (median([one for each in who for one in each.step_cpu]) for who in both)
    section.add("a step of 512 windows, time of cores", "s", *cpu)
    peaks = (max(training.run.peak_mb for training in trainings) for trainings in both)
    section.add("peak memory", "MB", *peaks, at_most=MEMORY_AT_MOST)
    counts = [sum(len(training.step_seconds) for training in trainings) for trainings in both]
    section.notes.append(
        f"medians of {counts[0]} and {counts[1]} steps, each training's first {STEPS_LEFT_OUT} "
        "left out"
    )
    yield section


def sample_section(bench: Bench) -> Iterator[Section]:
    section = Section("sample", "native Magenta")
    programs = ("native", "groovae")
    runs: dict[str, list[Run]] = {who: [] for who in programs}
    phases: dict[str, list[dict[str, float]]] = {who: [] for who in programs}
    rates: dict[str, list[float]] = {who: [] for who in programs}
    shares: dict[str, float] = {}
    bench.model("groovae")  # made before the clock starts
    for number, order in bench.rounds():
        for who in programs[::order]:
            say(f"round {number}: sample, {who}")
            ran, seconds = bench.sample(who, bench.work / f"sample_{who}.log")
            runs[who].append(ran)
            phases[who].append(seconds)
        for who in programs[::order]:
            say(f"round {number}: decode, {who}")
            told = bench.decode(who, bench.work / f"decode_{who}.log", DECODED, DECODINGS)
            rates[who] += [DECODED / seconds for seconds in told["seconds"]]
            shares[who] = told["hits"]
    if abs(shares["native"] - shares["groovae"]) > 0.01:
        raise Failure(f"they decode to other grooves: the shares of steps with a hit are {shares}")
    cold = (median([ran.seconds for ran in runs[who]]) for who in programs)
    section.add("one groove, whole command", "s", *cold, at_least=COLD_START_FASTER)
    peaks = (max(ran.peak_mb for ran in runs[who]) for who in programs)
    section.add("one groove, peak memory", "MB", *peaks)
    rate = (median(rates[who]) for who in programs)
    section.add(f"decoded in batches of {DECODED}", "/s", *rate, at_least=DECODE_AS_FAST)
    for who in programs:
        section.add_phases(who, phases[who])
    section.notes.append(
        f"medians of {len(rates['native'])} warm batches of four bars each; import: up to the "
        "model; write: all after the last decoding, the end of the process included"
    )
    yield section


def sample_phases(told: list[dict[str, Any]], ran: Run) -> dict[str, float]:
    at = {line["mark"]: line["at"] - ran.started for line in told}  # the last of each
    at[SAMPLE_PHASES[-1]] = ran.seconds
    phases, before = {}, 0.0
    for name in SAMPLE_PHASES:
        phases[name] = max(0.0, at.get(name, before) - before)
        before += phases[name]
    return phases


def memory_section(bench: Bench) -> Iterator[Section]:
    sources = short_files(bench.groove)
    folder = bench.work / "copies"
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run in the same --work
    made = 0
    peaks: dict[int, tuple[Run, Run]] = {}
    for count in sorted(bench.options.files):
        say(f"memory: {count:,} files")
        for number in range(made, count):
            copy_file(sources[number % len(sources)], folder, number)
        made = count
        records = bench.work / f"files_{count}.tfrecord"
        converted = bench.preprocess(folder, records)
        forget_windows(records)
        flags = [TINY_MODEL, "--num_steps=3"]
        log = bench.work / f"train_files_{count}.log"
        trained = bench.train("groovae", log, records, *flags)
        peaks[count] = converted, trained.run
        size = records.stat().st_size / 2**20
        say(f"{converted.seconds:.0f} s to {size:.0f} MB of records, {trained.run.seconds:.0f} s")
    smallest, *larger = peaks
    section = Section("memory", f"groovae on {smallest:,} files")
    for count in larger:
        for which, what in enumerate(("preprocess", "train, own memory")):
            figures = [
                ran.own_mb if which else ran.peak_mb
                for ran in (peaks[smallest][which], peaks[count][which])
            ]
            section.add(f"{count:,} files, {what}", "MB", *figures, at_most=FLAT)
    section.notes.append(
        f"copies of the {len(sources)} shortest beats in 4/4 that have {SHORT_FILE_BYTES:,} bytes; "
        f"with mapped files train took "
        + ", ".join(f"{trained.peak_mb:.0f}" for _, trained in peaks.values())
        + " MB"
    )
    yield section


def short_files(groove: Path) -> list[Path]:
    """The hundred shortest files that still give windows: 100,000 of them are to be converted."""
    beats = (file for file in groove.rglob("*_beat_4-4.mid") if not file.is_symlink())
    long_enough = [file for file in beats if file.stat().st_size >= SHORT_FILE_BYTES]
    if not long_enough:
        raise Failure(f"{groove}: not the Groove MIDI Dataset, no file is called *_beat_4-4.mid")
    return sorted(long_enough, key=lambda file: (file.stat().st_size, file))[:100]


def copy_file(source: Path, folder: Path, number: int) -> None:
    """Copies a file under a new name, a thousand to a folder."""
    target = folder / f"{number // 1000:03}" / f"{number:06}_{source.name}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


SECTIONS: dict[str, Callable[[Bench], Iterator[Section]]] = {
    "preprocess": preprocess_section,
    "windows": windows_section,
    "first_step": first_step_section,
    "steps": steps_section,
    "sample": sample_section,
    "onnx": onnx_section,
    "memory": memory_section,
}


# --- the command line ---


def parse(arguments: list[str] | None) -> argparse.Namespace:
    shared = Path(os.environ.get("GROOVAE_SHARED", ROOT.parent / "shared"))
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; default: all")
    add("--groove", type=Path, default=shared / "groove", help="the Groove MIDI Dataset")
    add("--work", type=Path, help="folder for all that is made; default: temporary, 4 GB")
    add("--repeat", type=int, default=2, help="rounds, of which medians are shown (default 2)")
    add("--steps", type=int, default=8, help="steps to time in each training (default 8)")
    add("--files", default="1000,10000,100000", help="numbers of files for memory")
    add("--json", action="store_true", help="print JSON instead of tables")
    add("--require", action="store_true", help="exit with 3 if a target was missed")
    environment = ROOT / ".venvs" / "native-magenta"
    add("--native_env", type=Path, default=environment, help="native's environment")
    add("--python38", help="a Python 3.8 to make it with; default: what uv or pyenv has")
    groovae = ROOT / ".venv" / "bin" / "python"
    add("--groovae_python", type=Path, default=groovae, help="the Python that has groovae")
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.sections) - SECTIONS.keys())
    if unknown:
        parser.error(f"no section is called {unknown[0]}; there are {', '.join(SECTIONS)}")
    options.sections = options.sections or list(SECTIONS)
    try:
        options.files = [int(count) for count in options.files.split(",")]
    except ValueError:
        parser.error(f"--files takes numbers with commas between them, got {options.files}")
    if min(options.repeat, options.steps, *options.files) < 1:
        parser.error("--repeat, --steps and --files must be 1 or more")
    return options


def machine() -> str:
    """What the figures depend on, in a line."""
    model = platform.processor()
    with contextlib.suppress(OSError, IndexError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line for line in lines if line.startswith("model name")).split(": ")[1]
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{cores} cores of {model}, load {load:.1f} before the start, {platform.platform()}"


def measure(options: argparse.Namespace, work: Path) -> tuple[list[Section], bool]:
    """Runs the sections; one that fails costs only itself."""
    bench, sections, has_failed = Bench(options, work), [], False
    bench.prepare()
    for name in SECTIONS:
        if name not in options.sections:
            continue
        started, elsewhere = time.monotonic(), busy_elsewhere()
        try:
            for section in SECTIONS[name](bench):
                seconds = time.monotonic() - started
                if seconds > 1:  # or it looks at trainings of the section before
                    others = (busy_elsewhere() - elsewhere) / seconds
                    section.notes.append(f"meanwhile {others:.1f} cores were busy elsewhere")
                sections.append(section)
                if not options.json:
                    show(section)
        except Failure as failure:
            say(f"{name} failed: {failure}")
            has_failed = True
    return sections, has_failed


@contextlib.contextmanager
def work_folder(wanted: Path | None) -> Iterator[Path]:
    if wanted:
        wanted.mkdir(parents=True, exist_ok=True)
        yield wanted.resolve()
    else:
        with tempfile.TemporaryDirectory(prefix="groovae_benchmark_") as folder:
            yield Path(folder)


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    about = machine()
    say(about)
    try:
        with work_folder(options.work) as work:
            sections, has_failed = measure(options, work)
    except Failure as failure:
        say(str(failure))
        return 1
    missed = sum(row.is_missed for section in sections for row in section.rows)
    if options.json:
        tables = [section.as_dict() for section in sections]
        print(json.dumps({"machine": about, "sections": tables, "missed": missed}, indent=2))
    else:
        print(f"\n{about}; median of {options.repeat}; {missed} targets missed")
    return 1 if has_failed else 3 if options.require and missed else 0


if __name__ == "__main__":
    sys.exit(main())
