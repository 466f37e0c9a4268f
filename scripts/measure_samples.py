"""Measure samples of a model as a set, by prior, and the styles that are heard in them.

    python scripts/measure_samples.py data_dir --model=groovae/bundled/groovae_4bar

Prints two tables in Markdown: the structure of samples and of the splits of the data, and for each
style how many of its samples a classifier takes for that style. `data_dir` holds music-train, -test
and -validation.tfrecord, as `groovae preprocess GROOVE data_dir/music.tfrecord --splits` writes
them. The model is an ONNX export, or a checkpoint; without a fitted prior there is only the first
table. It takes about a minute on two cores.

The classifier (groovae/metrics/style_classifier.py) is fitted to the training windows at a hop of
one bar. Styles are read from file names such as 1_funk_80_beat_4-4.mid.
"""

import argparse
from pathlib import Path
from typing import NamedTuple

import numpy as np

from groovae.config.layout import layout_of
from groovae.data import records, window_cache
from groovae.data.styles import styles_of
from groovae.evaluation.tables import Table, as_markdown
from groovae.generation.groove_model import GrooveModel
from groovae.generation.loading import load_model
from groovae.metrics import features
from groovae.metrics.structure import LABELS, structure
from groovae.metrics.style_classifier import STYLES, StyleClassifier


class Windows(NamedTuple):
    """Windows of a split, [n, steps, depth], and the style of each."""

    outputs: np.ndarray
    styles: np.ndarray


def main() -> None:
    options = _parse_arguments()
    model = load_model(options.model, options.config, seed=options.seed, batch_size=256)
    splits = {
        name: _read(options.data, name, model.config_name)
        for name in ("train", "validation", "test")
    }
    trained_on = _read(options.data, "train", model.config_name, hop_bars=1)
    print(as_markdown(structure_table(model, splits, trained_on, options)))
    if model.fitted_prior is not None:
        print()
        print(as_markdown(style_table(model, splits["test"], trained_on, options)))


def structure_table(
    model: GrooveModel,
    splits: dict[str, Windows],
    trained_on: Windows,
    options: argparse.Namespace,
) -> Table:
    """Return the structure of the splits, and of samples from each prior."""
    sets = {f"{name} split": windows.outputs for name, windows in splits.items()}
    for prior in ["standard", *(["fitted"] if model.fitted_prior else [])]:
        model.reset_random()
        sets[f"samples, {prior} prior"] = model.sample_tensors(
            options.num, model.layout.split_bars, options.temperature, prior=prior
        )
    rows = []
    for name, windows in sets.items():
        measured = structure(windows, model.layout.meter)
        is_train = name == "train split"  # whose windows are all copies of themselves
        copies = "-" if is_train else f"{_copies(model, windows, trained_on):.1%}"
        rows.append([name, *(f"{measured[key]:.3f}" for key in LABELS), copies])
    return Table("Structure", ["", *LABELS.values(), "near copies of training windows"], rows)


def style_table(
    model: GrooveModel, test: Windows, trained_on: Windows, options: argparse.Namespace
) -> Table:
    """Return the share of test windows and of samples of each style that are heard as it."""
    prior = model.fitted_prior
    styles = tuple(style for style in STYLES if prior and style in prior.shares())
    classify = StyleClassifier(
        trained_on.outputs, trained_on.styles.tolist(), styles, model.layout.meter
    )
    rows, totals = [], []
    model.reset_random()
    for style in styles:
        windows = model.sample_tensors(
            options.num_of_style, model.layout.split_bars, options.temperature, style=style
        )
        heard, real = classify(windows) == style, test.outputs[test.styles == style]
        of_real = f"{np.mean(classify(real) == style):.1%}" if len(real) else "-"
        copies = f"{_copies(model, windows, trained_on):.1%}"
        rows.append([style, f"{len(real)}", of_real, f"{np.mean(heard):.1%}", copies])
        totals.append(np.mean(heard))
    known = np.isin(test.styles, styles)
    right = classify(test.outputs[known]) == test.styles[known]
    all_real = [f"{known.sum()}", f"{np.mean(right):.1%}"]
    rows.append(["all", *all_real, f"{np.mean(totals):.1%}", ""])
    columns = ["", "test windows", "heard in them", "heard in samples", "near copies"]
    return Table(f"Style asked and heard, chance {1 / len(styles):.0%}", columns, rows)


def _copies(model: GrooveModel, windows: np.ndarray, trained_on: Windows) -> float:
    return features.copies(windows, trained_on.outputs, meter=model.layout.meter)


def _read(folder: Path, split: str, config: str, hop_bars: int | None = None) -> Windows:
    examples = records.find(folder / f"music-{split}.tfrecord")
    windows = window_cache.load(examples, layout_of(config, hop_bars=hop_bars), folder)
    files = [windows.source(number).filename for number in range(len(windows))]
    return Windows(windows.outputs(np.arange(len(windows))), np.array(styles_of(files)))


def _parse_arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path, help="folder of music-train.tfrecord and the others")
    parser.add_argument("--model", default="groovae/bundled/groovae_4bar")
    parser.add_argument("--config", help="of a checkpoint without config.json")
    parser.add_argument("--num", type=int, default=2000, help="samples from each prior")
    parser.add_argument("--num_of_style", type=int, default=200, help="samples of each style")
    parser.add_argument("--temperature", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
