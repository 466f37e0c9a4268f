"""The numbers of a report: headlines, the table of all scores, and the originality of samples.

`results` is the output of `groovae evaluate --metrics --json`. A score is a dict of `value`, `low`
and `high`, each None or NaN if there was nothing to score.
"""

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from groovae.evaluation.tables import HEADLINES, MODEL, SIGNIFICANT, heading, number
from groovae.metrics.scores import METRICS
from groovae.metrics.structure import LABELS

NOT_AVAILABLE = "n/a"
# Hits on which the timing and velocity of a baseline are scored.
GROUPS = {"all_hits": "all hits of the recording", "same_hits": "hits that the model has too"}

Results = dict[str, Any]


class Score(NamedTuple):
    """A score of the model or of a baseline.

    Attributes:
      label: Name of the model or baseline.
      value: The score, or NaN if it is missing; the same holds for the others.
      low, high: Ends of the 95 % interval.
      worse: Share of the bootstrap's draws in which a baseline is worse than the model.
    """

    label: str
    value: float
    low: float
    high: float
    worse: float


class Headline(NamedTuple):
    """A number at the top of the page.

    Attributes:
      label: What it measures.
      number: The number, as text.
      unit: Its unit, or empty.
      verdict: "better", "worse", "no clear difference" or "too few recordings", or empty.
      note: What it is compared with.
    """

    label: str
    number: str
    unit: str
    verdict: str
    note: str


class ScoreTable(NamedTuple):
    """All scores: headings, and groups of a title and rows, of which the model is the first.

    A row is a label and a pair of number and interval for each metric, either of them empty.
    """

    columns: list[str]
    groups: list[tuple[str, list[tuple[str, list[tuple[str, str]]]]]]


def headlines(results: Results) -> list[Headline]:
    """Return the main scores beside the best baselines, and the originality of the samples."""
    found = [_headline(metric, results) for metric in HEADLINES]
    found = [headline for headline in found if headline.number != NOT_AVAILABLE]
    samples, latent = results.get("samples") or {}, results.get("latent") or {}
    if is_number(samples.get("copies")):
        note = f"of {samples['number']:,} samples repeat a training window"
        if is_number(samples.get("copies_of_data")):
            note += f"; of the data {samples['copies_of_data']:.1%}"
        found.append(Headline("near copies", f"{100 * samples['copies']:.1f}", "%", "", note))
    elif is_number(latent.get("active_dimensions")):
        active, note = latent["active_dimensions"], f"of {latent['dimensions']:,}"
        found.append(Headline("active latent dimensions", f"{active:,}", "", "", note))
    return found


def ranked_scores(metric: str, results: Results) -> list[Score]:
    """Return the score of the model, then those of the baselines, the best one first.

    Timing and velocity are compared on the hits that the model has too.
    """
    model = _score(MODEL, results["scores"].get(metric))
    for group in ("same_hits", "all_hits"):
        baselines = [
            _score(baseline["label"], (baseline.get(group) or {}).get(metric))
            for baseline in (results.get("baselines") or {}).values()
        ]
        baselines = [baseline for baseline in baselines if is_number(baseline.value)]
        if baselines:
            better = METRICS[metric].better
            badness = {"higher": lambda x: -x, "lower": lambda x: x, "zero": abs}[better]
            return [model, *sorted(baselines, key=lambda score: badness(score.value))]
    return [model]


def table(results: Results) -> ScoreTable:
    """Return all scores of the model and of the baselines."""
    groups = [("", [(MODEL, _cells(results["scores"]))])]
    baselines = list((results.get("baselines") or {}).values())
    for group, title in GROUPS.items():
        rows = [(each["label"], _cells(each[group])) for each in baselines if each.get(group)]
        if rows:
            groups.append((f"Baselines, on {title}", rows))
    return ScoreTable([*map(heading, METRICS)], groups)


def originality(results: Results) -> str:
    """Describe copies among the samples, their diversity and structure; empty without samples."""
    samples = results.get("samples") or {}
    sentences = []
    if is_number(samples.get("copies")):
        text = f"Near copies of a training window (hit F1 over 0.95): {samples['copies']:.1%} of "
        text += f"{samples['number']:,} samples"
        if is_number(samples.get("copies_of_data")):
            text += f", {samples['copies_of_data']:.1%} of the data"
        sentences.append(f"{text}.")
    ours, theirs = (samples.get(name) or {} for name in ("diversity", "diversity_of_data"))
    for name, other in (("all_pairs", "another sample"), ("nearest_other", "the nearest sample")):
        if is_number(ours.get(name)):
            text = f"Mean distance (1 - hit F1) to {other}: {ours[name]:.2f}"
            if is_number(theirs.get(name)):
                text += f", in the data {theirs[name]:.2f}"
            sentences.append(f"{text}.")
    return " ".join([*sentences, *_structure(samples)])


def _structure(samples: Results) -> Iterator[str]:
    """Yield a sentence for each measure of structure."""
    ours, theirs = (samples.get(name) or {} for name in ("structure", "structure_of_data"))
    for name, label in LABELS.items():
        if is_number(ours.get(name)) and is_number(theirs.get(name)):
            label = label[0].upper() + label[1:]
            yield f"{label}: {ours[name]:.3f}, in the data {theirs[name]:.3f}."


def text(metric: str, value: Any) -> str:
    """Format a score with the digits of its unit."""
    return number(value, METRICS[metric].unit) if is_number(value) else NOT_AVAILABLE


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _headline(metric: str, results: Results) -> Headline:
    model, *baselines = ranked_scores(metric, results)
    about, verdict, note = METRICS[metric], "", "no baseline"
    if baselines:
        best = baselines[0]
        verdict = _verdict(model, best)
        note = f"best baseline: {text(metric, best.value)}, {best.label}"
    return Headline(about.label, text(metric, model.value), about.unit, verdict, note)


def _verdict(model: Score, baseline: Score) -> str:
    """Compare the model with a baseline by their draws of the same recordings."""
    if not is_number(model.low):
        return "too few recordings"
    if not is_number(baseline.worse):
        return ""
    if baseline.worse >= SIGNIFICANT:
        return "better"
    return "worse" if baseline.worse <= 1 - SIGNIFICANT else "no clear difference"


def _score(label: str, score: dict[str, Any] | None) -> Score:
    found = score or {}

    def get(name: str) -> float:
        return found[name] if is_number(found.get(name)) else math.nan

    return Score(label, *map(get, ("value", "low", "high", "worse")))


def _cells(scores: dict[str, Any]) -> list[tuple[str, str]]:
    return [_cell(metric, scores.get(metric)) for metric in METRICS]


def _cell(metric: str, score: dict[str, Any] | None) -> tuple[str, str]:
    if score is None:
        return "", ""
    value, low, high = (text(metric, score.get(name)) for name in ("value", "low", "high"))
    return value, "" if low == NOT_AVAILABLE else f"{low} to {high}"
