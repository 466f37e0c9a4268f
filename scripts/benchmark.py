"""Compare groovae with native Magenta 2.1.4 in speed and memory, in one run on one machine.

    python scripts/benchmark.py                           all sections: about an hour on 2 cores
    python scripts/benchmark.py preprocess windows        some sections
    python scripts/benchmark.py --repeat=3 --json         as JSON, medians of 3
    python scripts/benchmark.py memory --files=1000,10000

Runs with any Python from 3.10 on Linux. It measures the groovae in `.venv`, which `bash
scripts/demo.sh` makes, on the Groove MIDI Dataset (`groovae download --dest=../shared/groove`, or
`--groove=DIR`). uv makes an environment for native Magenta once, in `.venvs/native-magenta`: Python
3.8 and Magenta's own versions. Run nothing else meanwhile, and compare the ratios of one run, not
the seconds of two.

  preprocess   the whole command, from the start of the process to its end, and the conversion alone
               by number of workers; all must write the same records
  windows      NoteSequences to tensors in one process, Magenta's converter and groovae's in turns;
               all bytes are compared
  first_step   from the start of `train` to the end of its first step, for the full model: native,
               groovae the first time on these records, and groovae again
  steps        seconds per step and peak memory of the same trainings
  sample       from the start of the process to its end: one groove of four bars as a MIDI file, by
               `groovae sample` and by Magenta's `music_vae_generate`, with seconds by phase; and
               the sequences per second that a warm model decodes in batches of 512
  onnx         groovae only: an exported model in onnxruntime beside its checkpoint in TensorFlow,
               in batches of 1, 64 and 512; both must give the same hits
  memory       whether `preprocess` and `train` need more memory for more files, with copies of
               short files and a tiny model

Native and groovae run in turns, in reverse order every other round. Trainings and samplings run
through `benchmark_probe.py`, which marks the same events in code that both share. Bytecode is
compiled and files are in the page cache before the clock starts. Memory is that of the process and
its descendants, sampled ten times a second: RSS, or with workers the sum of PSS, which counts
shared pages once. "Own memory" excludes mapped files, which the system can reclaim. Do not put
`--work` on a memory file system, where mapped files occupy memory.

Tables in Markdown go to stdout, progress to stderr. Exit code: 0; 1 if a section failed; with
`--require`, 3 if a target was missed.
"""

import argparse
import contextlib
import json
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

from benchmark_programs import (
    CONFIG,
    DECODE_REPEATS,
    STEPS_LEFT_OUT,
    TINY_MODEL,
    Bench,
    add_program_flags,
    remove_cached_windows,
    same_records,
    work_folder,
)
from benchmark_run import Failure, Run, busy_elsewhere, log, probe
from benchmark_table import Section

SHORT_FILE_BYTES = 1000  # enough for the four bars of a window
BATCH_SIZE = 512

# Targets. Those of linear and flat growth allow for noise.
PREPROCESS_RATIO = 8.0
LINEAR_SPEEDUP = 0.85
WINDOWS_RATIO = 10.0
FIRST_START_RATIO = 2.5
SECOND_START_RATIO = 2.8
STEP_RATIO = 0.97
COLD_START_RATIO = 2.5
EXPORT_START_SECONDS = 1.0
DECODE_RATIO = 1.0
MAX_DIFFERENT_SHARE = 0.01
MEMORY_RATIO = 1.0
FLAT_MEMORY_RATIO = 1.1


# --- the sections ---


def preprocess_section(bench: Bench) -> Iterator[Section]:
    flags_of: dict[str, list[str]] = {
        "all": [],
        "one": ["--workers=1"],
        "complete": ["--midi_reader=complete"],
    }
    runs: dict[str, list[Run]] = {name: [] for name in ("native", *flags_of)}
    outputs = {name: bench.work / f"preprocess_{name}.tfrecord" for name in runs}
    for number, order in bench.rounds():
        for name in list(runs)[::order]:
            log(f"round {number}: preprocess, {name}")
            if name == "native":
                ran = bench.preprocess_native(bench.groove, outputs[name])
            else:
                ran = bench.preprocess(bench.groove, outputs[name], *flags_of[name])
            runs[name].append(ran)
    section = Section("preprocess", "native Magenta")
    labels = {
        "all": f"{bench.cores} workers",
        "one": "1 worker",
        "complete": f"{bench.cores} workers, --midi_reader=complete",
    }
    for name, workers in labels.items():
        target = {"at_least": PREPROCESS_RATIO} if name == "all" else {}
        seconds = (median([ran.seconds for ran in runs[program]]) for program in ("native", name))
        section.add(f"whole command, {workers}", "s", *seconds, **target)
        peaks = (max(ran.peak_mb for ran in runs[program]) for program in ("native", name))
        section.add(f"peak memory, {workers}", "MB", *peaks)
    count = same_records([outputs[name] for name in ("native", "all", "one")])
    section.notes.append(f"All outputs but the last hold the same {count:,} records.")
    report = json.loads(Path(f"{outputs['complete']}.report.json").read_text("utf-8"))
    section.notes.append(f"--midi_reader=complete keeps {report['windows']['notes']:,} hits.")
    yield section
    yield conversion_section(bench)


def conversion_section(bench: Bench) -> Section:
    """Measure the conversion alone, whose speed should grow with the workers."""
    counts = sorted({1, bench.cores, *(2**n for n in range(9) if 2**n < bench.cores)})
    seconds: dict[int, list[float]] = {count: [] for count in counts}
    for number, order in bench.rounds():
        for count in counts[::order]:
            log(f"round {number}: conversion, workers: {count}")
            file = bench.work / f"convert_{count}.log"
            arguments = (bench.groove, file.with_suffix(".tfrecord"), CONFIG, str(count))
            seconds[count].append(probe(bench.python, "convert", file, *arguments)[0]["seconds"])
    section = Section("converting", "groovae with 1 worker")
    for count in counts[1:]:
        medians = median(seconds[1]), median(seconds[count])
        section.add(f"{count} workers", "s", *medians, at_least=round(LINEAR_SPEEDUP * count, 2))
    section.notes.append("Measured after the imports, from listing the folder to the written file.")
    return section


def windows_section(bench: Bench) -> Iterator[Section]:
    results = []
    for number, _ in bench.rounds():
        log(f"round {number}: windows")
        file = bench.work / "windows.log"
        results.append(probe(bench.python, "windows", file, bench.records, CONFIG)[0])
        if results[-1]["different"]:
            raise Failure(f"the windows of {results[-1]['different']:,} sequences differ")
    seconds = (median([result[name] for result in results]) for name in ("magenta", "groovae"))
    section = Section("windows", "Magenta's converter in groovae's environment")
    section.add("NoteSequences to tensors", "s", *seconds, at_least=WINDOWS_RATIO)
    section.notes.append(
        f"{results[0]['windows']:,} windows of {results[0]['sequences']:,} sequences, equal bytes."
    )
    yield section


def first_step_section(bench: Bench) -> Iterator[Section]:
    section = Section("first_step", "native Magenta")
    targets = {"first": FIRST_START_RATIO, "second": SECOND_START_RATIO}
    native = median([training.first_step for training in bench.trainings["native"]])
    for name, target in targets.items():
        seconds = median([training.first_step for training in bench.trainings[name]])
        section.add(f"start to end of step 1, {name} start", "s", native, seconds, at_least=target)
    for name, trainings in bench.trainings.items():
        label = name if name == "native" else f"groovae, {name} start"
        section.add_phases(label, [training.phases for training in trainings])
    section.notes.append(
        "Phases: windows lasts from the imports to the graph (native makes windows later); warm-up "
        "is step 1 minus a usual step, when the pipeline fills and TensorFlow optimizes the graph."
    )
    yield section


def steps_section(bench: Bench) -> Iterator[Section]:
    section = Section("steps", "native Magenta")
    groovae = bench.trainings["first"] + bench.trainings["second"]
    both = (bench.trainings["native"], groovae)
    seconds = (median([s for training in each for s in training.step_seconds]) for each in both)
    section.add(f"step of {BATCH_SIZE} windows", "s", *seconds, at_least=STEP_RATIO)
    cpu = (median([s for training in each for s in training.step_cpu]) for each in both)
    section.add(f"step of {BATCH_SIZE} windows, processor time", "s", *cpu)
    peaks = (max(training.run.peak_mb for training in each) for each in both)
    section.add("peak memory", "MB", *peaks, at_most=MEMORY_RATIO)
    counts = [sum(len(training.step_seconds) for training in each) for each in both]
    section.notes.append(
        f"Medians of {counts[0]} and {counts[1]} steps, without each training's first "
        f"{STEPS_LEFT_OUT}."
    )
    yield section


def sample_section(bench: Bench) -> Iterator[Section]:
    section = Section("sample", "native Magenta")
    programs = ("native", "groovae")
    bench.add_cold_start(section, programs, at_least=COLD_START_RATIO)
    results = bench.add_decoding(section, programs, BATCH_SIZE, at_least=DECODE_RATIO)
    native, groovae = (result["hits"] for result in results)
    if abs(native - groovae) > 0.01:
        raise Failure(f"different grooves: {native:.3f} and {groovae:.3f} of the cells are hits")
    yield section


def onnx_section(bench: Bench) -> Iterator[Section]:
    """Compare an exported model with its checkpoint, each with its default number of threads."""
    section = Section("onnx", "TensorFlow, same checkpoint")
    programs = ("tensorflow", "onnx")
    bench.add_cold_start(section, programs, under=EXPORT_START_SECONDS)
    num_grooves = num_different = 0
    for batch_size in DECODE_REPEATS:
        target = {"at_least": DECODE_RATIO} if batch_size == 64 else {}
        results = bench.add_decoding(section, programs, batch_size, **target)
        pairs = [*zip(*(result["grooves"] for result in results), strict=True)]
        num_grooves += len(pairs)
        num_different += sum(expected != found for expected, found in pairs)
    # A logit within rounding of its threshold may fall to either side, which changes later steps.
    if num_different > MAX_DIFFERENT_SHARE * num_grooves:
        raise Failure(f"{num_different} of {num_grooves} grooves have other hits than TensorFlow's")
    section.notes.append(f"{num_different} of {num_grooves} grooves differ in a hit.")
    yield section


def memory_section(bench: Bench) -> Iterator[Section]:
    sources = short_files(bench.groove)
    folder = bench.work / "copies"
    shutil.rmtree(folder, ignore_errors=True)  # of an earlier run in the same --work
    num_copied = 0
    runs: dict[int, tuple[Run, Run]] = {}
    for count in sorted(bench.options.files):
        log(f"memory: {count:,} files")
        for number in range(num_copied, count):
            copy_file(sources[number % len(sources)], folder, number)
        num_copied = count
        records = bench.work / f"files_{count}.tfrecord"
        preprocess = bench.preprocess(folder, records)
        remove_cached_windows(records)
        file = bench.work / f"train_files_{count}.log"
        train = bench.train("groovae", file, records, TINY_MODEL, "--num_steps=3").run
        runs[count] = preprocess, train
        size = records.stat().st_size / 2**20
        log(f"{preprocess.seconds:.0f} s to {size:.0f} MB of records, {train.seconds:.0f} s")
    smallest, *larger = runs
    section = Section("memory", f"groovae on {smallest:,} files")
    for count in larger:
        pairs = [*zip(runs[smallest], runs[count], strict=True)]
        peaks, own = [ran.peak_mb for ran in pairs[0]], [ran.own_mb for ran in pairs[1]]
        section.add(f"{count:,} files, preprocess", "MB", *peaks, at_most=FLAT_MEMORY_RATIO)
        section.add(f"{count:,} files, train, own memory", "MB", *own, at_most=FLAT_MEMORY_RATIO)
    with_mapped = ", ".join(f"{train.peak_mb:.0f}" for _, train in runs.values())
    section.notes.append(
        f"Copies of the {len(sources)} shortest beats in 4/4 of at least {SHORT_FILE_BYTES:,} "
        f"bytes. Memory of train including mapped files: {with_mapped} MB."
    )
    yield section


def short_files(groove: Path) -> list[Path]:
    """Return the 100 shortest files with windows, of which 100,000 copies convert quickly."""
    beats = (file for file in groove.rglob("*_beat_4-4.mid") if not file.is_symlink())
    long_enough = [file for file in beats if file.stat().st_size >= SHORT_FILE_BYTES]
    if not long_enough:
        raise Failure(f"{groove}: not the Groove MIDI Dataset, as no file is named *_beat_4-4.mid")
    return sorted(long_enough, key=lambda file: (file.stat().st_size, file))[:100]


def copy_file(source: Path, folder: Path, number: int) -> None:
    """Copy a file to a numbered name, a thousand to a folder."""
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
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("sections", nargs="*", metavar="SECTION", help=f"{', '.join(SECTIONS)}; default: all")
    add("--work", type=Path, help="folder for all files, 4 GB; default: a temporary one")
    add("--repeat", type=int, default=2, help="rounds, of which medians are shown (default 2)")
    add("--steps", type=int, default=8, help="steps to time in each training (default 8)")
    add("--files", default="1000,10000,100000", help="numbers of files for memory")
    add("--json", action="store_true", help="print JSON instead of tables")
    add("--require", action="store_true", help="exit with code 3 if a target was missed")
    add_program_flags(parser)
    options = parser.parse_args(arguments)
    unknown = sorted(set(options.sections) - SECTIONS.keys())
    if unknown:
        parser.error(f"unknown section {unknown[0]}; the sections are {', '.join(SECTIONS)}")
    options.sections = options.sections or list(SECTIONS)
    try:
        options.files = [int(count) for count in options.files.split(",")]
    except ValueError:
        parser.error(f"--files must be integers separated by commas, got {options.files}")
    if min(options.repeat, options.steps, *options.files) < 1:
        parser.error("--repeat, --steps and --files must be 1 or more")
    return options


def machine() -> str:
    """Return a line about the processor, its load and the platform."""
    model = platform.processor()
    with contextlib.suppress(OSError, IndexError):
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next(line for line in lines if line.startswith("model name")).split(": ")[1]
    cores, load = len(os.sched_getaffinity(0)), os.getloadavg()[0]
    return f"{cores} cores of {model}, load {load:.1f} before the start, {platform.platform()}"


def measure(options: argparse.Namespace, work: Path) -> tuple[list[Section], bool]:
    """Run the sections; one that fails is skipped and reported."""
    bench, sections, has_failed = Bench(options, work), [], False
    bench.prepare()
    for name in SECTIONS:
        if name not in options.sections:
            continue
        started, busy = time.monotonic(), busy_elsewhere()
        try:
            for section in SECTIONS[name](bench):
                seconds = time.monotonic() - started
                if seconds > 1:  # otherwise it reuses the trainings of the section before
                    cores = (busy_elsewhere() - busy) / seconds
                    section.notes.append(f"Meanwhile other processes kept {cores:.1f} cores busy.")
                sections.append(section)
                if not options.json:
                    print(f"{section}\n")
        except Failure as failure:
            log(f"{name} failed: {failure}")
            has_failed = True
    return sections, has_failed


def main(arguments: list[str] | None = None) -> int:
    options = parse(arguments)
    about = machine()
    log(about)
    try:
        with work_folder(options.work) as work:
            sections, has_failed = measure(options, work)
    except Failure as failure:
        log(str(failure))
        return 1
    missed = sum(row.is_missed for section in sections for row in section.rows)
    if options.json:
        tables = [section.as_dict() for section in sections]
        print(json.dumps({"machine": about, "sections": tables, "missed": missed}, indent=2))
    else:
        print(f"{about}; medians of {options.repeat}; {missed} targets missed")
    return 1 if has_failed else 3 if options.require and missed else 0


if __name__ == "__main__":
    sys.exit(main())
