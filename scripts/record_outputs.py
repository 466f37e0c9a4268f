"""Record the outputs of commands for fixed seeds, to show that a change does not alter them.

    python scripts/record_outputs.py .venv/bin/groovae ../groove /tmp/before > before.json

Run it on the code before and after a refactoring, and compare the two files. It runs every command
that writes records, checkpoints, MIDI, exports or JSON, with tiny models, in about ten minutes on
two cores. The result has the SHA-256 of each file, and JSON and CSV as values, without times and
versions. Pages, event files and hidden files are left out, since their wording or clock changes.
"""

import csv
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

SMALL = (
    "--hparams=batch_size=32,enc_rnn_size=[32],dec_rnn_size=[24,24],z_size=16,free_bits=6,"
    "dropout_keep_prob=0.9"
)
CONFIGS = {
    "humanize": "groovae_2bar_humanize",
    "tap2drum": "groovae_2bar_tap_fixed_velocity",
    "add_hihat": "groovae_2bar_add_closed_hh",
    "transfer": "groovae_2bar_hits_control_tfds",
}
TRAIN = ["--seed=1", "--examples_path=s/music-train.tfrecord", SMALL]
VALIDATE = ["--save_checkpoint_steps=25", "--eval_examples_path=s/music-validation.tfrecord"]
BASELINES = [
    "--metrics",
    "--num_samples=50",
    "--baseline_examples_path=s/music-validation.tfrecord",
]
# Parts of keys and columns whose values differ from run to run or with the version.
VOLATILE = ("seconds", "secs", "time", "version", "date", "created", "host", "python", "elapsed")
LEFT_OUT = (".js", ".html", ".css", ".md")


class Recorder:
    """Runs commands in a folder and collects what they return."""

    def __init__(self, executable: str):
        self.executable = os.path.abspath(executable)
        self.outputs: dict[str, Any] = {}

    def run(self, name: str, *arguments: str) -> None:
        """Run one command and record its exit code, and its JSON if it prints any."""
        print(name, file=sys.stderr, flush=True)
        done = subprocess.run(
            [self.executable, *arguments], capture_output=True, text=True, check=False
        )
        self.outputs[f"{name}: exit"] = done.returncode
        if done.returncode:
            print(done.stderr, file=sys.stderr)
        elif "--json" in arguments:
            self.outputs[f"{name}: json"] = without_volatile(json.loads(done.stdout))

    def add_files(self) -> None:
        """Record every file below the current folder."""
        for path in sorted(Path().rglob("*")):
            is_log = path.name.startswith((".", "events.out"))
            if path.is_file() and not is_log and path.suffix not in LEFT_OUT:
                self.outputs[str(path)] = digest(path)


def without_volatile(value: Any) -> Any:
    """Remove the keys of dicts, at any depth, whose values are not reproducible."""
    if isinstance(value, dict):
        kept = {key: one for key, one in value.items() if not is_volatile(key)}
        return {key: without_volatile(one) for key, one in kept.items()}
    return [without_volatile(one) for one in value] if isinstance(value, list) else value


def is_volatile(key: str) -> bool:
    return any(word in key.lower() for word in VOLATILE)


def digest(path: Path) -> Any:
    """Return the values of a JSON or CSV file, and the SHA-256 of any other."""
    if path.suffix == ".json":
        return without_volatile(json.loads(path.read_text("utf-8")))
    if path.suffix == ".csv":
        with open(path, newline="", encoding="utf-8") as file:
            return [without_volatile(row) for row in csv.DictReader(file)]
    return hashlib.sha256(path.read_bytes()).hexdigest()


def performances(gmd: str) -> list[str]:
    """The paths of the test split's beats in 4/4, by their length."""
    with open(f"{gmd}/info.csv", newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == "test"]
    beats = [row for row in rows if (row["beat_type"], row["time_signature"]) == ("beat", "4-4")]
    return [
        os.path.join(gmd, row["midi_filename"])
        for row in sorted(beats, key=lambda row: float(row["duration"]))
    ]


def record_data(recorder: Recorder, gmd: str) -> None:
    recorder.run("preprocess", "preprocess", gmd, "music.tfrecord", "--json")
    splits = ["s/music.tfrecord", "--splits", "--hop_bars=1", "--json"]
    recorder.run("splits", "preprocess", gmd, *splits)
    shards = ["sh/music.tfrecord", "--split=test", "--shards=3", "--json"]
    recorder.run("shards", "preprocess", gmd, *shards)
    recorder.run("info", "info", gmd, "--json")
    windows = ["sh/music.tfrecord-*", "--config=groovae_2bar_humanize", "--json"]
    recorder.run("info of records", "info", *windows)


def record_training(recorder: Recorder) -> None:
    whole = ["--train_dir=t/whole", *VALIDATE, *TRAIN]
    recorder.run("train", "train", "--num_steps=50", *whole)
    recorder.run("resume", "train", "--num_steps=60", *whole)
    fine = ["--train_dir=t/fine", "--num_steps=10", "--init_checkpoint=t/whole"]
    recorder.run("fine-tune", "train", *fine, *TRAIN)
    for task, config in CONFIGS.items():
        flags = [f"--train_dir=t/{task}", "--num_steps=20", f"--config={config}", "--hop_bars=1"]
        recorder.run(f"train {task}", "train", *flags, *TRAIN)


def record_playing(recorder: Recorder, beats: list[str]) -> None:
    first, second = beats[len(beats) // 2], beats[len(beats) // 3]
    os.makedirs("in", exist_ok=True)
    for beat in beats[:4]:
        Path("in", os.path.basename(beat)).write_bytes(Path(beat).read_bytes())
    commands = {
        "sample": ["--num_outputs=3", "--bars=10"],
        "reconstruct": [first],
        "interpolate": [first, second, "--num_steps=3"],
        "vary": [first, "--amount=0.4", "--num_outputs=2"],
    }
    for model, flags in {"bundled": [], "checkpoint": ["--checkpoint=t/whole"]}.items():
        for temperature in ("0", "0.7"):
            for command, arguments in commands.items():
                name = f"{model}-{command}-{temperature}"
                more = [f"--temperature={temperature}", "--seed=5", "--json", f"--out=m/{name}.mid"]
                recorder.run(name, command, *arguments, *flags, *more)
        more = [f"--out=m/{model}-folder", "--seed=5", "--json", "--drum_map=roland"]
        recorder.run(f"{model} folder", "reconstruct", "in", *flags, *more)
        more = ["--as_hits", "--pickup", "--seed=5", "--json", f"--out=m/{model}-hits.mid"]
        recorder.run(f"{model} as hits", "sample", *flags, *more)
    recorder.run("picture", "sample", "--seed=3", "--png", "--wav", "--out=m/pic.mid", "--json")
    for suffix in ("", ".onnx"):
        for task in CONFIGS:
            inputs = [f"--groove={first}", f"--beat={second}"] if task == "transfer" else [first]
            model = f"x/{task}.onnx" if suffix else f"t/{task}"
            flags = [f"--checkpoint={model}", "--temperature=0.6", "--seed=5", "--json"]
            recorder.run(task + suffix, task, *inputs, *flags, f"--out=m/{task}{suffix}.mid")


def record_exports(recorder: Recorder) -> None:
    for task in ("whole", *CONFIGS):
        source = f"--checkpoint=t/{task}"
        recorder.run(f"onnx {task}", "export", source, f"--out=x/{task}.onnx")
        web = ["--format=magentajs", "--dtype=float16", f"--out=x/{task}-js"]
        recorder.run(f"magentajs {task}", "export", source, *web)
    small = ["--checkpoint=t/whole", "--dtype=int8", "--out=x/int8.onnx"]
    recorder.run("onnx int8", "export", *small)


def record_scores(recorder: Recorder) -> None:
    test = ["--examples_path=s/music-test.tfrecord", "--json"]
    recorder.run("evaluate", "evaluate", "--checkpoint=t/whole", *test)
    for task in ("whole", "humanize"):
        recorder.run(f"metrics {task}", "evaluate", f"--checkpoint=t/{task}", *BASELINES, *test)


def main(executable: str, gmd: str, work: str) -> None:
    recorder, gmd = Recorder(executable), os.path.abspath(gmd)
    os.makedirs(work, exist_ok=True)
    os.chdir(work)
    record_data(recorder, gmd)
    record_training(recorder)
    record_exports(recorder)
    record_playing(recorder, performances(gmd))
    record_scores(recorder)
    recorder.add_files()
    print(json.dumps(recorder.outputs, indent=1, sort_keys=True))


if __name__ == "__main__":
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    main(*sys.argv[1:])
