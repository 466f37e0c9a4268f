"""Tables in plain text, for the terminal, and in Markdown; and those of an evaluation's results.

    print("\\n\\n".join(map(as_text, tables(study.results))))

In the tables of results, a row is the model or a baseline, a column is a metric, and a cell is a
score with its 95 % interval. The model comes first. A star marks a baseline that is worse than the
model in 97.5 % of the bootstrap's draws, on the same hits.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from groovae.metrics.scores import METRICS
from groovae.metrics.structure import LABELS

MODEL = "the model"
SIGNIFICANT = 0.975
DECIMALS = {"ms": 1, "ms late": 1, "of 127": 1, "hits a bar": 2}
COLUMNS = {
    "Hits": ("hit_f1", "hit_precision", "hit_recall", "density_mae"),
    "Timing": ("timing_mae_ms", "timing_mae_16ths", "timing_mse_16ths", "timing_bias_ms"),
    "Velocity": ("velocity_mae", "velocity_correlation"),
}
DISTRIBUTIONS = {
    "timing_kl": ("KL divergence of timing", ""),
    "velocity_kl": ("KL divergence of velocity", ""),
    "timing_std_ms": ("spread of timing", "ms"),
    "velocity_std": ("spread of velocity", "of 127"),
}
HEADLINES = ("hit_f1", "timing_mae_ms", "velocity_mae")
OVER_ALL_HITS = HEADLINES[1:]  # metrics with a second column for baselines


class Table(NamedTuple):
    """A title, the headings of the columns, and rows of as many cells, the first of them a name."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def as_text(table: Table) -> str:
    """Format a table in aligned columns, the first one to the left.

    >>> print(as_text(Table("Hits", ["", "hit F1"], [["the model", "0.7"], ["mean", "0.125"]])))
    Hits
                 hit F1
      the model     0.7
      mean        0.125
    """
    lines = [table.columns, *table.rows]
    first, *others = [max(map(len, column)) for column in zip(*lines, strict=True)]
    aligned = [
        "  ".join(["", line[0].ljust(first), *map(str.rjust, line[1:], others)]).rstrip()
        for line in lines
    ]
    return "\n".join([table.title, *aligned])


def as_markdown(table: Table) -> str:
    """Format a table in Markdown, below its title."""
    rule = ["---", *["---:"] * (len(table.columns) - 1)]
    lines = [table.columns, rule, *table.rows]
    return "\n".join([f"**{table.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def tables(results: dict[str, Any]) -> Iterator[Table]:
    """Yield the tables of `Study.results`."""
    for title, columns in COLUMNS.items():
        names = [name for name in columns if name in results["scores"]]
        if names:
            yield _with_baselines(title, names, results)
    if "distributions" in results:
        yield _distributions(results)
    yield _by_drum(results)
    if results["samples"]:
        yield _samples(results["samples"])
        if results["samples"].get("styles"):
            yield _styles(results["samples"]["styles"])


def number(value: float, unit: str = "") -> str:
    """Format a number with the significant digits of its unit, or `-` if it is non-finite."""
    return f"{value:.{DECIMALS.get(unit, 3)}f}" if math.isfinite(value) else "-"


def cell(score: dict[str, float] | None, unit: str) -> str:
    """Format a score as `0.487 [0.452, 0.520]*`, or as `0.487` if it has no interval."""
    if score is None or not math.isfinite(score["value"]):
        return "-"
    value, low, high = (number(score[key], unit) for key in ("value", "low", "high"))
    if not math.isfinite(score["low"]):
        return value
    return f"{value} [{low}, {high}]{'*' if score.get('worse', 0) >= SIGNIFICANT else ''}"


def heading(name: str) -> str:
    """Return the heading of a metric's column, such as `timing error, ms`."""
    metric = METRICS[name]
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def _with_baselines(title: str, names: Sequence[str], results: dict[str, Any]) -> Table:
    twice = [name for name in names if name in OVER_ALL_HITS]

    def cells(scores: dict[str, Any], columns: Sequence[str]) -> list[str]:
        return [cell(scores.get(name), METRICS[name].unit) for name in columns]

    rows = [[MODEL, *cells(results["scores"], names), *([""] * len(twice))]]
    for baseline in results["baselines"].values():
        scores = baseline["same_hits"] if twice else baseline["all_hits"]
        if any(name in scores for name in names):
            row = [*cells(scores, names), *cells(baseline["all_hits"], twice)]
            rows.append([baseline["label"], *row])
    columns = [*map(heading, names), *(f"{heading(name)}: over all hits" for name in twice)]
    return Table(title, ["", *columns], rows)


def _distributions(results: dict[str, Any]) -> Table:
    labels = {"drummers": "the drummers", "model": MODEL}
    labels |= {name: baseline["label"] for name, baseline in results["baselines"].items()}
    rows = [
        [labels[name], *(number(values[key], unit) for key, (_, unit) in DISTRIBUTIONS.items())]
        for name, values in results["distributions"].items()
    ]
    columns = [f"{label}, {unit}" if unit else label for label, unit in DISTRIBUTIONS.values()]
    return Table("Distributions over all hits", ["", *columns], rows)


def _by_drum(results: dict[str, Any]) -> Table:
    names = [name for name in HEADLINES if name in results["scores"]]
    rows = [
        [drum, *(number(scores[name], METRICS[name].unit) for name in names)]
        for drum, scores in results["by_drum"].items()
    ]
    return Table("By drum", ["", *map(heading, names)], rows)


def _samples(samples: dict[str, Any]) -> Table:
    rows = [
        [
            feature["label"],
            *(_mean_and_std(feature[group]) for group in ("samples", "data")),
            number(feature["overlapped_area"]),
            number(feature["kl_divergence"]),
        ]
        for feature in samples["features"].values()
    ]
    shares = [f"{samples[name]:.1%}" for name in ("copies", "copies_of_data")]
    rows.append(["near copies of training windows", *shares, "", ""])
    for label, name in (("diversity", "all_pairs"), ("diversity, nearest", "nearest_other")):
        both = (number(samples[group][name]) for group in ("diversity", "diversity_of_data"))
        rows.append([label, *both, "", ""])
    for name, label in LABELS.items():
        both = (number(samples[group][name]) for group in ("structure", "structure_of_data"))
        rows.append([label, *both, "", ""])
    title = (
        f"{samples['number']:,} samples as a set: {samples['prior']} prior, {samples['feel']} "
        f"feel, temperature {samples['temperature']:g}"
    )
    return Table(title, ["", "samples", "data", "overlapped area", "KL divergence"], rows)


def _styles(styles: dict[str, Any]) -> Table:
    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    columns = {
        "samples": "of the samples",
        "data": "of the data",
        "samples_of_style": "of samples of this style",
        "data_of_style": "of data of this style",
    }
    rows = [[style, *(share(found[name]) for name in columns)] for style, found in styles.items()]
    means = []
    for name in columns:
        values = [found[name] for found in styles.values() if found[name] is not None]
        is_right = name.endswith("of_style") and values
        means.append(share(math.fsum(values) / len(values)) if is_right else "")
    title = f"Styles that a classifier hears, chance {1 / len(styles):.0%}"
    return Table(title, ["", *columns.values()], [*rows, ["mean", *means]])


def _mean_and_std(moments: dict[str, Any]) -> str:
    if isinstance(moments["mean"], list):
        return ""
    return f"{number(moments['mean'])} ({number(moments['std'])})"
