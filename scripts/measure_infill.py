"""Measure infill on the test split: hit F1 of the hidden part, beside baselines.

    python scripts/measure_infill.py data_dir --model=groovae/bundled/groovae_4bar

Prints tables in Markdown. Of each window of four bars one part is hidden and generated at
temperature 0: the last two bars, each drum alone, or each drum in the last two bars. The baselines:

- a copy of the two bars before;
- each drum at the 16ths of the bar where it is frequent in the training windows;
- the training window (at a hop of one bar: `--hop_bars`) with the highest F1 of the kept hits.

F1 is that of all hidden hits of the split, with a 95 % interval by a bootstrap over recordings; a
star marks a baseline that is worse than the model in 97.5 % of the draws. `data_dir` holds
music-train and -test.tfrecord, as `groovae preprocess GROOVE data_dir/music.tfrecord --splits`
writes them; --split=validation is what the constants of infilling.py were chosen on.
"""

import argparse
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from groovae.config.layout import layout_of
from groovae.data import records, window_cache
from groovae.data.windows import tempos_of
from groovae.evaluation.intervals import ReferenceWindows, Scored
from groovae.evaluation.tables import Table, as_markdown, cell
from groovae.generation import infilling
from groovae.generation.groove_model import GrooveModel
from groovae.generation.infilling import Guess
from groovae.generation.loading import load_model
from groovae.metrics import baselines, features, scores
from groovae.metrics.baselines import Baselines
from groovae.music.drums import CLASS_NAMES

METRIC = "hit_f1"
NUM_DRAWS = 8  # of the way that takes the best of them, by the reconstruction of what is kept
NUM_PASSES = 5
SHARE_OF_WAYS = 4  # of which one window is measured
Way = Callable[[GrooveModel, "Hidden"], np.ndarray]


class Hidden(NamedTuple):
    """Windows, and which of their cells are hidden."""

    windows: ReferenceWindows
    cells: np.ndarray

    def score(self, estimate: np.ndarray) -> Scored:
        """Score the hidden cells of an estimate."""
        mask = np.concatenate([self.cells] * 3, axis=-1)
        windows = self.windows._replace(reference=self.windows.reference * mask)
        return windows.score(estimate * mask)

    @property
    def kept(self) -> np.ndarray:
        return self.windows.reference * ~np.concatenate([self.cells] * 3, axis=-1)


def main() -> None:
    options = _parse_arguments()
    model = load_model(options.model, options.config, seed=options.seed, batch_size=64)
    windows = _read(options.data, options.split, model)
    train = _read(options.data, "train", model, options.hop_bars).reference
    fitted = baselines.fit(train, train, model.layout.meter)
    parts = hidden_parts(windows, model)
    print(as_markdown(_baselines_table(model, parts, fitted)), "\n")
    print(as_markdown(_drums_table(model, parts["each drum"], fitted)), "\n")
    print(as_markdown(_ways_table(model, parts)))


def hidden_parts(windows: ReferenceWindows, model: GrooveModel) -> dict[str, Hidden]:
    """Return the parts to hide; for those of a drum the windows are repeated for each drum."""
    num, num_steps, _ = windows.reference.shape
    num_drums = model.layout.num_drums
    bars = np.zeros((num, num_steps, num_drums), bool)
    bars[:, num_steps // 2 :] = True
    fields = (windows.reference, windows.tempo_qpm, windows.recordings)
    reference, tempo_qpm, recordings = (np.concatenate([one] * num_drums) for one in fields)
    each = ReferenceWindows(reference, tempo_qpm, recordings, windows.meter)
    drums = np.repeat(np.eye(num_drums, dtype=bool), num, axis=0)[:, np.newaxis]
    return {
        "last two bars": Hidden(windows, bars),
        "each drum": Hidden(each, np.repeat(drums, num_steps, axis=1)),
        "each drum, last two bars": Hidden(each, np.concatenate([bars] * num_drums) & drums),
    }


# Ways to infill


def guesses(model: GrooveModel, hidden: Hidden) -> Guess:
    """Return the guess of `infilling` for each window as a groove of its own."""
    found, draw = [], model.infiller.typical_windows
    for window, cells in zip(hidden.windows.reference, hidden.cells, strict=True):
        segments: Any = types.SimpleNamespace(
            outputs=window[np.newaxis],
            mask=np.ones((1, len(window)), bool),
            bars=model.layout.split_bars,
        )
        found.append(infilling.guess_hidden(segments, cells[np.newaxis], model.layout, draw))
    return Guess(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def as_groovae(model: GrooveModel, hidden: Hidden) -> np.ndarray:
    return _infill(model, hidden, guesses(model, hidden))


def of_kept_alone(model: GrooveModel, hidden: Hidden) -> np.ndarray:
    return _infill(model, hidden, Guess(hidden.kept, np.zeros(hidden.cells.shape, np.float32)))


def kept_alone_repeated(model: GrooveModel, hidden: Hidden) -> np.ndarray:
    outputs = hidden.kept
    for _ in range(NUM_PASSES):
        guess = Guess(outputs, np.zeros(hidden.cells.shape, np.float32))
        outputs = _infill(model, hidden, guess)
    return outputs


def without_bias(model: GrooveModel, hidden: Hidden) -> np.ndarray:
    guess = guesses(model, hidden)
    return _infill(model, hidden, guess._replace(bias=np.zeros_like(guess.bias)))


def twice(model: GrooveModel, hidden: Hidden) -> np.ndarray:
    guess = guesses(model, hidden)
    return _infill(model, hidden, guess._replace(outputs=_infill(model, hidden, guess)))


def best_of_draws(model: GrooveModel, hidden: Hidden) -> np.ndarray:
    """Return of several outputs from drawn latents the one whose reconstruction keeps the most."""
    guess, best = guesses(model, hidden), hidden.kept.copy()
    highest = np.full(len(best), -1.0)
    kept = hidden.kept[..., : model.layout.num_drums] > 0.5
    for seed in range(NUM_DRAWS):
        drawn = _infill(model, hidden, guess, temperature=1.0, seed=seed)
        again, _, _ = model.predict_windows(drawn)
        f1 = _f1(kept, (again[..., : kept.shape[-1]] > 0.5) & ~hidden.cells)
        best[f1 > highest] = drawn[f1 > highest]
        highest = np.maximum(f1, highest)
    return best


WAYS: dict[str, Way] = {
    "the kept part encoded alone": of_kept_alone,
    f"the same, {NUM_PASSES} passes": kept_alone_repeated,
    "the guess encoded with it": without_bias,
    "and hits of copies raised (groovae)": as_groovae,
    "the same, two passes": twice,
    f"the same, best of {NUM_DRAWS} drawn latents": best_of_draws,
}


def _infill(
    model: GrooveModel, hidden: Hidden, guess: Guess, temperature: float = 0.0, seed: int = 0
) -> np.ndarray:
    rng, thresholds = np.random.RandomState(seed), np.zeros(hidden.cells.shape, np.float32)
    reference = hidden.windows.reference
    return model.infiller.windows(rng, reference, hidden.cells, guess, thresholds, temperature)


def _f1(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    both, total = (first & second).sum(axis=(1, 2)), (first.sum(axis=(1, 2)))
    return 2 * both / np.maximum(total + second.sum(axis=(1, 2)), 1)


# Tables


def _estimates(model: GrooveModel, hidden: Hidden, fitted: Baselines) -> dict[str, np.ndarray]:
    reference = hidden.windows.reference
    half = reference.shape[1] // 2
    frequent = np.zeros_like(reference)
    frequent[..., : model.layout.num_drums] = fitted.patterns["frequency"]
    estimates = {
        "groovae infill": as_groovae(model, hidden),
        "copy of the bars before": np.concatenate([reference[:, :half]] * 2, axis=1),
        "frequent hits": frequent,
        "nearest training window": _nearest(hidden, fitted.train),
    }
    if hidden.cells[:, :half].any():  # no bar is left to copy
        del estimates["copy of the bars before"]
    return estimates


def _nearest(hidden: Hidden, train: np.ndarray) -> np.ndarray:
    """Return the training windows with the highest F1 in the cells that are kept."""
    found = np.zeros_like(hidden.windows.reference)
    for cells in np.unique(hidden.cells, axis=0):
        rows = np.flatnonzero((hidden.cells == cells).all(axis=(1, 2)))
        kept = ~np.concatenate([cells] * 3, axis=-1)
        index, _ = features.nearest(hidden.kept[rows], train * kept, hidden.windows.meter)
        found[rows] = train[index]
    return found


def _baselines_table(model: GrooveModel, parts: dict[str, Hidden], fitted: Baselines) -> Table:
    columns: dict[str, dict[str, str]] = {}
    for part, hidden in parts.items():
        estimates = _estimates(model, hidden, fitted)
        scored = {name: hidden.score(estimate) for name, estimate in estimates.items()}
        first, *others = scored
        columns[part] = {first: cell(scored[first].with_intervals([METRIC])[METRIC], "")} | {
            name: cell(scored[name].compare_to(scored[first], [METRIC])[METRIC], "")
            for name in others
        }
    names = list(columns["last two bars"])
    rows = [[name, *(column.get(name, "-") for column in columns.values())] for name in names]
    return Table("Hit F1 of the hidden part", ["", *columns], rows)


def _drums_table(model: GrooveModel, hidden: Hidden, fitted: Baselines) -> Table:
    estimates = _estimates(model, hidden, fitted)
    mask = np.concatenate([hidden.cells] * 3, axis=-1)
    reference = hidden.windows.reference * mask
    by_name = {
        name: scores.by_drum(scores.tally(reference, estimate * mask, hidden.windows.tempo_qpm))
        for name, estimate in estimates.items()
    }
    rows = [
        [drum, *(f"{by_name[name][drum][METRIC]:.3f}" for name in estimates)]
        for drum in CLASS_NAMES
    ]
    return Table("Hit F1 of each drum, hidden in all four bars", ["", *estimates], rows)


def _ways_table(model: GrooveModel, parts: dict[str, Hidden]) -> Table:
    chosen = {name: _thin_out(parts[name]) for name in ("last two bars", "each drum")}
    rows = []
    for name, way in WAYS.items():
        model.reset_random()
        f1s = [
            scores.summarize(hidden.score(way(model, hidden)).tallies)[METRIC]
            for hidden in chosen.values()
        ]
        rows.append([name, *(f"{f1:.3f}" for f1 in f1s)])
    return Table("Ways to infill, hit F1 of the hidden part", ["", *chosen], rows)


def _thin_out(hidden: Hidden) -> Hidden:
    """Return each SHARE_OF_WAYS-th window."""
    fields = (hidden.windows.reference, hidden.windows.tempo_qpm, hidden.windows.recordings)
    reference, tempo_qpm, recordings = (one[::SHARE_OF_WAYS] for one in fields)
    windows = ReferenceWindows(reference, tempo_qpm, recordings, hidden.windows.meter)
    return Hidden(windows, hidden.cells[::SHARE_OF_WAYS])


def _read(
    folder: Path, split: str, model: GrooveModel, hop_bars: int | None = None
) -> ReferenceWindows:
    layout = layout_of(model.config_name, hop_bars=hop_bars)
    windows = window_cache.load(records.find(folder / f"music-{split}.tfrecord"), layout, folder)
    sources = [windows.source(number) for number in range(len(windows))]
    _, recordings = np.unique([source.id for source in sources], return_inverse=True)
    tempos_qpm = tempos_of(sources)
    outputs = windows.outputs(np.arange(len(windows)))
    return ReferenceWindows(outputs, tempos_qpm, recordings, layout.meter)


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--model", default="groovae/bundled/groovae_4bar")
    parser.add_argument("--config", help="of a checkpoint without config.json")
    parser.add_argument("--split", default="test")
    parser.add_argument("--hop_bars", type=int, help="of the training windows to search")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
