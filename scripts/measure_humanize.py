"""Measure a humanizer as a musician uses it: whole performances, file against file.

    python scripts/measure_humanize.py                           the bundled model, test split
    python scripts/measure_humanize.py --feel=drawn              the same, as it plays by default
    python scripts/measure_humanize.py --checkpoint=runs/humanize/best --split=validation

Each performance of the Groove MIDI Dataset (`groovae download --dest=../shared/groove`, or
`--groove=DIR`) that is long enough for a window is put on the grid with one velocity, humanized
with temperature 0 and the expected feel, and written and read as MIDI. Its hits are compared with
the drummer's: the mean absolute error of timing in milliseconds and of velocity, over all hits,
beside that of the grid and of the mean of all hits; and the spreads, which are standard deviations.
A drawn feel has the spreads of a drummer and larger errors, as a second drummer would have. A table
in Markdown goes to stdout. Exits with code 1 if a hit is lost.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

import groovae
from groovae.data.groove_midi_dataset import read_info
from groovae.generation.grooves import place_early_hits
from groovae.system.log import no_log

GRID_VELOCITY = 64


def put_on_grid(performance: Any, steps_per_quarter: int = 4) -> Any:
    """Return a copy with all notes on the nearest 16th, with one velocity."""
    grid = type(performance)()
    grid.CopyFrom(performance)
    step_seconds = 60 / performance.tempos[0].qpm / steps_per_quarter
    for note in grid.notes:
        start = round(note.start_time / step_seconds) * step_seconds
        note.end_time += start - note.start_time
        note.start_time, note.velocity = start, GRID_VELOCITY
    return grid


def humanize(model: Any, grid: Any, folder: Path) -> Any:
    """Return a groove humanized as `groovae humanize --temperature=0 --feel=mean` does."""
    groove = place_early_hits(model.humanize(grid, temperature=0), "clamp")
    groovae.write_sequence(folder / "played.mid", groove)
    return groovae.read_sequence(folder / "played.mid")


def hits_of(sequence: Any) -> np.ndarray:
    """Return pitch, start in milliseconds and velocity of each hit, sorted: [hits, 3]."""
    return np.array(sorted((n.pitch, 1000 * n.start_time, n.velocity) for n in sequence.notes))


def performances(groove: Path, split: str, min_bars: int) -> Iterator[Any]:
    """Yield the performances of a split in 4/4 that are long enough."""
    info = read_info(groove)
    for row in info[(info["split"] == split) & (info["time_signature"] == "4-4")].itertuples():
        performance = groovae.read_sequence(groove / row.midi_filename, log=no_log)
        last_seconds = max(note.start_time for note in performance.notes)
        last_step = round(last_seconds * performance.tempos[0].qpm / 15)
        if last_step // 16 + 1 >= min_bars:
            yield performance


def row(name: str, errors: np.ndarray, deviations: np.ndarray) -> str:
    (timing_ms, velocity), spreads = np.abs(errors).mean(axis=0), deviations.std(axis=0)
    return (
        f"| {name} | {timing_ms:.1f} ms | {velocity:.1f} | {spreads[0]:.1f} ms | {spreads[1]:.1f} |"
    )


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--groove", type=Path, default=Path("../shared/groove"))
    parser.add_argument("--checkpoint", help="default: the bundled model")
    parser.add_argument("--split", default="test")
    parser.add_argument("--feel", default="mean", choices=["mean", "drawn"])
    options = parser.parse_args()
    model = groovae.load_model(
        options.checkpoint, task="humanize", seed=0, log=no_log, feel=options.feel
    )
    taken, gridded, played = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        for performance in performances(options.groove, options.split, model.layout.split_bars):
            grid = put_on_grid(performance)
            taken.append(hits_of(performance))
            gridded.append(hits_of(grid))
            played.append(hits_of(humanize(model, grid, Path(folder))))
            if not np.array_equal(played[-1][:, 0], taken[-1][:, 0]):
                print(f"{performance.filename}: hits were lost", file=sys.stderr)
                return 1
    drummer, grid, model_hits = (np.concatenate(each)[:, 1:] for each in (taken, gridded, played))
    late = (drummer - grid).mean(axis=0)
    names = ["timing error", "velocity error", "timing spread", "velocity spread"]
    print(f"| {len(taken)} performances, {len(drummer):,} hits | {' | '.join(names)} |")
    print("|---|--:|--:|--:|--:|")
    print(row("the drummer", drummer - drummer, drummer - grid))
    print(row("on the grid, one velocity", drummer - grid, grid - grid))
    print(row("mean of all hits", drummer - grid - late, grid - grid))
    print(row(f"humanized, {options.feel} feel", drummer - model_hits, model_hits - grid))
    return 0


if __name__ == "__main__":
    sys.exit(main())
