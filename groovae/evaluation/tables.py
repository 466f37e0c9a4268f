"""Results as tables of text: for the terminal, and in Markdown for a document.

    print("\\n\\n".join(map(as_text, tables(study.results))))

A row is the model or a baseline, a column a metric, a cell its value with the interval of 95 %. The
first row is always the model's. A star marks what is worse than the model in 97.5 % of the draws
that the intervals are made of, on the same hits.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from groovae.metrics.scores import METRICS

MODEL = "the model"
SURELY = 0.975
DECIMALS = {"ms": 1, "ms late": 1, "of 127": 1, "hits a bar": 2}
ALL_HITS = ("timing_mae_ms", "velocity_mae")  # where a baseline is told over all hits as well


class Table(NamedTuple):
    """A title, the names of the columns, and rows of as many cells, the first of them a name."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables(results: dict[str, Any]) -> Iterator[Table]:
    """The tables of `Study.results`: hits, timing, velocity, by drum, samples."""
    for title, names in {
        "Hits": ("hit_f1", "hit_precision", "hit_recall", "density_mae"),
        "Timing": ("timing_mae_ms", "timing_mae_16ths", "timing_bias_ms"),
        "Velocity": ("velocity_mae", "velocity_correlation"),
    }.items():
        told = [name for name in names if name in results["scores"]]
        if told:
            yield _beside_baselines(title, told, results)
    yield _by_drum(results)
    if results["samples"]:
        yield _samples(results["samples"])


def as_text(table: Table) -> str:
    """Columns below each other, the first one to the left."""
    lines = [table.columns, *table.rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.columns))]
    text = [
        "  ".join([line[0].ljust(widths[0]), *map(str.rjust, line[1:], widths[1:])]).rstrip()
        for line in lines
    ]
    return "\n".join([table.title, *(f"  {line}" for line in text)])


def as_markdown(table: Table) -> str:
    """A table of Markdown, below its title."""
    rule = ["---", *["---:"] * (len(table.columns) - 1)]
    lines = [table.columns, rule, *table.rows]
    return "\n".join([f"**{table.title}**", "", *(f"| {' | '.join(line)} |" for line in lines)])


def number(value: float, unit: str = "") -> str:
    """As many digits as mean something; `-` for what is no number."""
    return f"{value:.{DECIMALS.get(unit, 3)}f}" if math.isfinite(value) else "-"


def cell(score: dict[str, float] | None, unit: str) -> str:
    """`0.487 [0.452, 0.520]*`, or just `0.487` where there is no interval."""
    if score is None or not math.isfinite(score["value"]):
        return "-"
    value, low, high = (number(score[key], unit) for key in ("value", "low", "high"))
    if not math.isfinite(score["low"]):
        return value
    return f"{value} [{low}, {high}]{'*' if score.get('worse', 0) >= SURELY else ''}"


def heading(name: str) -> str:
    """`timing error, ms`"""
    metric = METRICS[name]
    return f"{metric.label}, {metric.unit}" if metric.unit else metric.label


def _beside_baselines(title: str, names: Sequence[str], results: dict[str, Any]) -> Table:
    twice = [name for name in names if name in ALL_HITS]
    columns = [*map(heading, names), *(f"{heading(name)}: over all hits" for name in twice)]
    model = [cell(results["scores"][name], METRICS[name].unit) for name in names]
    rows = [[MODEL, *model, *([""] * len(twice))]]
    for baseline in results["baselines"].values():
        same = baseline["same_hits"] if twice else baseline["all_hits"]
        if not any(name in same for name in names):
            continue
        cells = [cell(same.get(name), METRICS[name].unit) for name in names]
        cells += [cell(baseline["all_hits"].get(name), METRICS[name].unit) for name in twice]
        rows.append([baseline["label"], *cells])
    return Table(title, ["", *columns], rows)


def _by_drum(results: dict[str, Any]) -> Table:
    names = [n for n in ("hit_f1", "timing_mae_ms", "velocity_mae") if n in results["scores"]]
    rows = [
        [drum, *(number(scores[name], METRICS[name].unit) for name in names)]
        for drum, scores in results["by_drum"].items()
    ]
    return Table("By drum", ["", *map(heading, names)], rows)


def _samples(samples: dict[str, Any]) -> Table:
    rows = [
        [
            feature["label"],
            *(_mean(feature[of]) for of in ("samples", "data")),
            number(feature["overlapped_area"]),
            number(feature["kl_divergence"]),
        ]
        for feature in samples["features"].values()
    ]
    shares = {"near copies of windows trained on": ("copies", "copies_of_data")}
    rows += [
        [label, *(f"{samples[name]:.1%}" for name in names), "", ""]
        for label, names in shares.items()
    ]
    rows += [
        [label, *(number(samples[of][name]) for of in ("diversity", "diversity_of_data")), "", ""]
        for label, name in (("diversity", "all_pairs"), ("diversity, nearest", "nearest_other"))
    ]
    title = f"{samples['number']:,} samples at temperature {samples['temperature']:g} as a set"
    return Table(title, ["", "samples", "data", "overlapped area", "KL divergence"], rows)


def _mean(moments: dict[str, Any]) -> str:
    if isinstance(moments["mean"], list):
        return ""
    return f"{number(moments['mean'])} ({number(moments['std'])})"
