"""What a report says in numbers: headlines, and the table of all scores beside the baselines.

`results` is what `groovae evaluate --metrics --json` prints (see appraisal.py). A score is a dict
of `value`, `low` and `high`; None or NaN where there was nothing to score.
"""

import math
from typing import Any, NamedTuple

from groovae.evaluation.tables import heading, number
from groovae.metrics.scores import METRICS

HEADLINES = ("hit_f1", "timing_mae_ms", "velocity_mae")
NOTHING = "n/a"
LEVEL = 0.95
TOO_FEW = "too few recordings to tell"
# Whose hits the timing and velocity of a baseline are scored on.
GROUPS = {"all_hits": "all hits of the recording", "same_hits": "the hits that the model found"}

Results = dict[str, Any]


class Estimate(NamedTuple):
    """A score by the model or by a baseline.

    Attributes:
      label: Whose.
      value: The score.
      low, high: The ends of its 95 % interval.
      worse: The share of the bootstrap's draws in which it is worse than the model's, or NaN.
    """

    label: str
    value: float
    low: float
    high: float
    worse: float = math.nan


class Headline(NamedTuple):
    """A big number.

    Attributes:
      label: What it is.
      number: As text; `unit` stands beside it.
      verdict: Better, worse, no clear difference, or too few recordings to tell; empty
        where there is nothing to compare to.
      note: What it is compared to.
    """

    label: str
    number: str
    unit: str
    verdict: str
    note: str


class Cell(NamedTuple):
    number: str
    interval: str


class Row(NamedTuple):
    label: str
    cells: list[Cell]


class ScoreTable(NamedTuple):
    """The columns are metrics, the rows are in groups, of which the model is the first."""

    columns: list[str]
    groups: list[tuple[str, list[Row]]]


def headlines(results: Results) -> list[Headline]:
    """Three or four big numbers: how near, how well timed, how well struck, and how new."""
    found = [_headline(metric, results) for metric in HEADLINES]
    found = [headline for headline in found if headline.number != NOTHING]
    samples, latent = results.get("samples") or {}, results.get("latent") or {}
    if is_number(samples.get("copies")):
        note = f"of {samples['number']:,} samples repeat a training window"
        if is_number(samples.get("copies_of_data")):
            note += f"; of the data {_percent(samples['copies_of_data'])} % do"
        found.append(Headline("near copies", _percent(samples["copies"]), "%", "", note))
    elif is_number(latent.get("active_dimensions")):
        number = f"{latent['active_dimensions']:,}"
        note = f"of {latent['dimensions']:,} say something of the groove"
        found.append(Headline("latent dimensions in use", number, "", "", note))
    return found


def estimates(metric: str, results: Results) -> list[Estimate]:
    """The model, then the baselines that speak for this metric, the best one first.

    Timing and velocity are compared on the hits that the model found, since it has no others.
    """
    scored = [_estimate("this model", results["scores"].get(metric))]
    for group in ("same_hits", "all_hits"):
        baselines = [
            _estimate(baseline["label"], (baseline.get(group) or {}).get(metric))
            for baseline in (results.get("baselines") or {}).values()
        ]
        baselines = [baseline for baseline in baselines if is_number(baseline.value)]
        if baselines:
            return scored + sorted(baselines, key=lambda each: _badness(metric, each.value))
    return scored


def table(results: Results) -> ScoreTable:
    """All scores of the model and of the baselines."""
    model = [("", [_row("this model", results["scores"])])]
    baselines = list((results.get("baselines") or {}).values())
    for group, title in GROUPS.items():
        rows = [_row(each["label"], each[group]) for each in baselines if each.get(group)]
        if rows:
            model.append((f"Baselines, on {title}", rows))
    return ScoreTable([heading(metric) for metric in METRICS], model)


def originality(results: Results) -> str:
    """How new the samples are and how unlike each other, beside the data; empty without samples."""
    samples = results.get("samples") or {}
    sentences = []
    if is_number(samples.get("copies")):
        told = f"{_percent(samples['copies'])} % of {samples['number']:,} samples"
        told += " are near copies of a training window (hit F1 over 0.95)"
        if is_number(samples.get("copies_of_data")):
            told += f"; of the data {_percent(samples['copies_of_data'])} % are"
        sentences.append(f"{told}.")
    ours, theirs = (samples.get(name) or {} for name in ("diversity", "diversity_of_data"))
    for name, whom in (("all_pairs", "another one"), ("nearest_other", "the one most like it")):
        if is_number(ours.get(name)):
            told = f"On average a sample differs from {whom} by {ours[name]:.2f}"
            if is_number(theirs.get(name)):
                told += f", a window of the data by {theirs[name]:.2f}"
            sentences.append(f"{told}.")
    if len(sentences) > 1:
        sentences.append("A difference is 1 - hit F1.")
    return " ".join(sentences)


def text(metric: str, value: Any) -> str:
    """A score as text, with as many digits as mean something."""
    return number(value, METRICS[metric].unit) if is_number(value) else NOTHING


def is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def _headline(metric: str, results: Results) -> Headline:
    model, *baselines = estimates(metric, results)
    about, verdict, note = METRICS[metric], "", "no baseline to compare to"
    if baselines:
        best = baselines[0]
        verdict = _verdict(model, best)
        note = f"best baseline: {text(metric, best.value)}, {best.label}"
    return Headline(about.label, text(metric, model.value), about.unit, verdict, note)


def _verdict(model: Estimate, baseline: Estimate) -> str:
    """Of the model, by the draws of which both have the same recordings."""
    if not is_number(model.low):
        return TOO_FEW
    if not is_number(baseline.worse):
        return ""
    limit = (1 - LEVEL) / 2
    if baseline.worse >= 1 - limit:
        return "better"
    return "worse" if baseline.worse <= limit else "no clear difference"


def _badness(metric: str, value: float) -> float:
    better = METRICS[metric].better
    return abs(value) if better == "zero" else -value if better == "higher" else value


def _estimate(label: str, score: Any) -> Estimate:
    found = score or {}

    def number(name: str) -> float:
        return found[name] if is_number(found.get(name)) else math.nan

    return Estimate(label, number("value"), number("low"), number("high"), number("worse"))


def _row(label: str, scores: dict[str, Any]) -> Row:
    return Row(label, [_cell(metric, scores.get(metric)) for metric in METRICS])


def _cell(metric: str, score: Any) -> Cell:
    if score is None:
        return Cell("", "")
    estimate = _estimate("", score)
    if not is_number(estimate.low):
        return Cell(text(metric, estimate.value), "")
    interval = f"{text(metric, estimate.low)} to {text(metric, estimate.high)}"
    return Cell(text(metric, estimate.value), interval)
