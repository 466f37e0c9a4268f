"""Measure the models of the tasks beside baselines, as in docs/tasks.md.

    python scripts/measure_tasks.py data_dir                                the bundled models
    python scripts/measure_tasks.py data_dir --tasks=humanize --checkpoint=runs/humanize/best
    python scripts/measure_tasks.py data_dir --baselines                    without models

`data_dir` holds music-train, -validation and -test.tfrecord, as `groovae preprocess GROOVE
data_dir/music.tfrecord --splits --midi_reader=complete` writes them. A table in Markdown for each
task goes to stdout: windows of 2 bars of the test split, at temperature 0.

The baselines are those of `groovae evaluate --metrics`, fitted on the train split, and gradient
boosted trees that receive what the model receives: scikit-learn's HistGradientBoosting, 300
iterations, 63 leaves. Their predictors of a hit are its drum and step, the hits of the input within
8 steps, its velocities and offsets within 2 steps, how often each drum is hit, and the tempo. Hits
that are not given are predicted by a classifier for each drum, with the threshold of the best F1 on
the validation split. --trees_every=4 fits them on every fourth window, --trees_every=0 omits them;
on all windows they take minutes for each task.

`transfer` gives the hits of a window the feel of another one of its recording, the next one or for
the last the first, and is compared with what the drummer played in the window itself.

--tempo_factor=1.03 gives the model a tempo 3 % too fast: a model that knows the songs of the
dataset by their tempos has a larger error then.
"""

import argparse
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from groovae.config.layout import Layout, layout_of
from groovae.config.tasks import CONFIGS
from groovae.data import records, window_cache
from groovae.data.windows import predicted_drums, tempos_of, to_inputs
from groovae.evaluation.intervals import mask_to_predicted
from groovae.evaluation.tables import Table, as_markdown
from groovae.generation.groove_model import GrooveModel
from groovae.generation.loading import load_model
from groovae.metrics import baselines, distributions, scores
from groovae.metrics.features import split
from groovae.system.log import no_log

REACH, NEAR = 8, 2
ITERATIONS, LEAVES = 300, 63
THRESHOLDS = np.arange(0.1, 0.9, 0.02)
GIVEN = {
    "timing_mae_ms": "timing error, ms",
    "timing_mse_16ths": "squared, 16ths",
    "timing_kl": "KL",
    "velocity_mae": "velocity error, of 127",
    "velocity_kl": "KL",
}
HITS = {"hit_f1": "hit F1", "hit_precision": "precision", "hit_recall": "recall"}


class Windows(NamedTuple):
    """Windows of a split [n, steps, depth], and the tempo and recording of each."""

    outputs: np.ndarray
    tempo_qpm: np.ndarray
    recordings: np.ndarray

    def every(self, step: int) -> "Windows":
        return Windows(*(part[::step] for part in self))


class Trees:
    """Boosted trees that predict what the model of a task predicts, from what it receives."""

    def __init__(self, train: Windows, validation: Windows, layout: Layout):
        self._layout, self._drums = layout, np.flatnonzero(predicted_drums(layout))
        predictors, self._used = self._predictors(train), slice(None)
        self._used = np.ptp(predictors, axis=(0, 1)) > 0
        predictors = predictors[..., self._used]
        played = split(mask_to_predicted(train.outputs, layout))
        at = np.nonzero(played.hits)
        rows = np.c_[predictors[at[:2]], at[2]]
        self._velocity, self._offset = (
            _trees("Regressor").fit(rows, part[at]) for part in played[1:]
        )
        cells = predictors.reshape(-1, predictors.shape[-1])
        self._hits = [
            _trees("Classifier").fit(cells, played.hits[..., drum].ravel()) for drum in self._drums
        ]
        self._threshold = 0.5
        if self._hits:
            self._threshold = max(THRESHOLDS, key=lambda level: self._f1(validation, level))

    def predict(self, windows: Windows) -> np.ndarray:
        """Return float32 windows."""
        predictors = self._predictors(windows)[..., self._used]
        hits = split(windows.outputs).hits
        if self._hits:
            hits = self._probabilities(windows) > self._threshold
        at = np.nonzero(hits)
        rows = np.c_[predictors[at[:2]], at[2]]
        velocities, offsets = np.zeros((2, *hits.shape))
        velocities[at] = np.clip(self._velocity.predict(rows), 0, 1)
        offsets[at] = np.clip(self._offset.predict(rows), -1, 1)
        return np.concatenate([hits, velocities, offsets], axis=-1).astype(np.float32)

    def _probabilities(self, windows: Windows) -> np.ndarray:
        predictors = self._predictors(windows)[..., self._used]
        found = np.zeros((*predictors.shape[:2], self._layout.num_drums))
        for drum, model in zip(self._drums, self._hits, strict=True):
            cells = predictors.reshape(-1, predictors.shape[-1])
            found[..., drum] = model.predict_proba(cells)[:, 1].reshape(found.shape[:2])
        return found

    def _f1(self, windows: Windows, threshold: float) -> float:
        if not hasattr(self, "_validated"):
            self._validated = self._probabilities(windows)
        hits = split(mask_to_predicted(windows.outputs, self._layout)).hits
        ours = self._validated > threshold
        return 2 * (ours & hits).sum() / max(ours.sum() + hits.sum(), 1)

    def _predictors(self, windows: Windows) -> np.ndarray:
        """Return the predictors of each step, float32 [n, steps, k]."""
        inputs = to_inputs(windows.outputs, self._layout)
        drums = self._layout.num_drums
        n, steps, _ = inputs.shape
        around = [_shifted(inputs[..., :drums], by) for by in range(-REACH, REACH + 1)]
        around += [_shifted(inputs[..., drums:], by) for by in range(-NEAR, NEAR + 1)]
        densities = np.repeat(inputs[..., :drums].mean(axis=1, keepdims=True), steps, axis=1)
        places = [np.broadcast_to(np.arange(steps) % period, (n, steps)) for period in (4, 16, 99)]
        tempo = np.broadcast_to(windows.tempo_qpm[:, np.newaxis], (n, steps))
        parts = [*around, densities, np.stack([*places, tempo], axis=-1)]
        return np.concatenate(parts, axis=-1, dtype=np.float32)


def _shifted(values: np.ndarray, by: int) -> np.ndarray:
    """Return the values `by` steps later, 0 outside of the window."""
    padded = np.pad(values, [(0, 0), (REACH, REACH), (0, 0)])
    return padded[:, REACH + by : REACH + by + values.shape[1]]


def _trees(kind: str) -> Any:
    from sklearn import ensemble

    model = getattr(ensemble, f"HistGradientBoosting{kind}")
    return model(max_iter=ITERATIONS, max_leaf_nodes=LEAVES, early_stopping=False, random_state=0)


# Tasks


def measure(
    task: str,
    model: GrooveModel | None,
    layout: Layout,
    splits: dict[str, Windows],
    trees_every: int,
    tempo_factor: float,
) -> Table:
    """Return the table of a task, without a model only of its baselines."""
    test, train = splits["test"], splits["train"]
    if task == "transfer":
        donors = _next_of_recording(test.recordings)
        test, donors = Windows(*(part[donors >= 0] for part in test)), donors[donors >= 0]
    rows = {}
    for name, estimate in _baselines(train, test, layout):
        rows[baselines.LABELS[name]] = estimate
    if trees_every:
        trees = Trees(train.every(trees_every), splits["validation"], _score_layout(task, layout))
        rows["boosted trees"] = trees.predict(test)
    if task == "transfer":
        donor_windows = splits["test"].outputs[donors]
        hits = split(test.outputs).hits
        rows["mean of A"] = baselines.copy_feel(_mean_of(donor_windows), hits)
        rows["feel of A, copied"] = baselines.copy_feel(donor_windows, hits)
        humanizer = _load(None, "humanize")
        rows["B by `humanize`"] = _predict(humanizer, test)
        if model:
            rows["**transfer of A to B**"] = _predict(model, test, donor_windows)
    elif model:
        given = test._replace(tempo_qpm=test.tempo_qpm * tempo_factor)
        rows[f"**{task}**"] = _predict(model, given)
    columns = (HITS if predicted_drums(layout).any() else {}) | GIVEN
    title = f"{task}: {len(test.outputs):,} windows"
    title += f", {model.config_name}" if model else ""
    cells = [[name, *_cells(test, rows[name], layout, [*columns])] for name in rows]
    return Table(title, ["", *columns.values()], cells)


def _predict(model: GrooveModel, test: Windows, feel: np.ndarray | None = None) -> np.ndarray:
    return model.predict_windows(test.outputs, feel, test.tempo_qpm)[0]


def _score_layout(task: str, layout: Layout) -> Layout:
    """Return what trees receive: for a transfer, which has no hits to predict, the score of B."""
    return layout_of(CONFIGS["humanize"][0]) if task == "transfer" else layout


def _baselines(train: Windows, test: Windows, layout: Layout) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the baselines that predict all that the model predicts, or the grid."""
    inputs, train_inputs = (to_inputs(each.outputs, layout) for each in (test, train))
    if not predicted_drums(layout).any():  # of a transfer too: not the answer
        inputs, train_inputs = (_hits_only(each.outputs) for each in (test, train))
    train_outputs, outputs = (mask_to_predicted(x.outputs, layout) for x in (train, test))
    predicts_hits = predicted_drums(layout).any()
    for baseline in baselines.fit(train_outputs, train_inputs).predict(outputs, inputs):
        if ("hits" in baseline.aspects) == predicts_hits:
            yield baseline.name, baseline.estimate


def _hits_only(windows: np.ndarray) -> np.ndarray:
    hits = split(windows).hits
    return np.concatenate([hits, np.zeros((*hits.shape[:2], 2 * hits.shape[2]))], axis=-1)


def _mean_of(windows: np.ndarray) -> np.ndarray:
    """Return windows with one hit, of the mean velocity and offset of all, for `copy_feel`."""
    played, found = split(windows), np.zeros_like(windows)
    drums = played.hits.shape[2]
    counts = np.maximum(played.hits.sum(axis=(1, 2)), 1)
    found[:, 0, 0] = 1
    for place, part in zip((drums, 2 * drums), played[1:], strict=True):
        mean = np.where(played.hits, part, 0).sum(axis=(1, 2)) / counts
        found[:, 0, place] = mean
    return found


def _next_of_recording(recordings: np.ndarray) -> np.ndarray:
    """Return for each window the next one of its recording, in a circle; -1 if it is the only."""
    found = np.full(len(recordings), -1)
    for name in np.unique(recordings):
        members = np.flatnonzero(recordings == name)
        if len(members) > 1:
            found[members] = np.roll(members, -1)
    return found


def _cells(test: Windows, estimate: np.ndarray, layout: Layout, names: list[str]) -> list[str]:
    reference, estimate = (mask_to_predicted(each, layout) for each in (test.outputs, estimate))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a baseline may be silent
        found = scores.summarize(scores.tally(reference, estimate, test.tempo_qpm))
    found |= distributions.compare(reference, estimate, test.tempo_qpm)
    decimals = {"timing_mae_ms": 1, "velocity_mae": 1, "timing_mse_16ths": 4}
    return [
        f"{found[name]:.{decimals.get(name, 3)}f}" if np.isfinite(found[name]) else "-"
        for name in names
    ]


def _read(folder: Path, name: str, layout: Layout) -> Windows:
    examples = records.find(folder / f"music-{name}.tfrecord")
    windows = window_cache.load(examples, layout, folder)
    sources = [windows.source(number) for number in range(len(windows))]
    return Windows(
        windows.outputs(np.arange(len(windows))),
        tempos_of(sources),
        np.array([source.id for source in sources]),
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("data", type=Path, help="folder of music-train.tfrecord and the others")
    parser.add_argument("--tasks", default=",".join(CONFIGS), help="names, separated by commas")
    parser.add_argument("--checkpoint", help="model of the only task; default: the bundled one")
    parser.add_argument("--baselines", action="store_true", help="measure no model")
    parser.add_argument("--trees_every", type=int, default=1, help="0: no boosted trees")
    parser.add_argument("--tempo_factor", type=float, default=1, help="of the tempo that is given")
    options = parser.parse_args()
    for task in options.tasks.split(","):
        model = None if options.baselines else _load(options.checkpoint, task)
        layout = model.layout if model else layout_of(CONFIGS[task][0])
        splits = {
            name: _read(options.data, name, layout_of(CONFIGS[task][0]))
            for name in ("train", "validation", "test")
        }
        table = measure(task, model, layout, splits, options.trees_every, options.tempo_factor)
        print(as_markdown(table), flush=True)
        print()


def _load(checkpoint: str | None, task: str) -> GrooveModel:
    return load_model(checkpoint, task=task, seed=0, batch_size=128, log=no_log, as_hits=True)


if __name__ == "__main__":
    main()
