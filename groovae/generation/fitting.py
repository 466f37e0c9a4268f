"""Fit a prior and a feel to a model; see groovae.model.prior and groovae.model.feel.

A prior is fitted to windows that the model was trained on, a feel to others.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from groovae.config.layout import Layout
from groovae.config.tasks import check_task, task_of
from groovae.data.records import Examples
from groovae.data.styles import UNKNOWN, is_fill, styles_of
from groovae.data.window_cache import CachedWindows
from groovae.data.windows import predicted_drums, to_controls, to_inputs, to_windows
from groovae.generation.networks import feel_path, prior_path
from groovae.metrics import features
from groovae.metrics.structure import hits_per_bar
from groovae.model import feel_fit, latent, prior_fit
from groovae.model.feel import Feel, write_feel
from groovae.model.network import Network
from groovae.model.prior import Prior, write_prior
from groovae.music.tempo import DEFAULT_QPM
from groovae.system.log import Log, no_log

MAX_WINDOWS = 4096
HIT_THRESHOLDS = (0.0, -0.2, -0.4, -0.6, -0.8, -1.0)
SPARSEST = 0.1
QUANTILES = np.linspace(0, 1, 41)
MIN_FILL_HITS = 6  # a bar with fewer ends a fill of two bars or begins it late


class Fill(NamedTuple):
    """A bar [steps_per_bar, depth] of a fill, and its style."""

    style: str
    bar: np.ndarray


def fit_prior(
    network: Network,
    windows: CachedWindows,
    groove: str | None = None,
    log: Log = no_log,
    fills: Sequence[Fill] = (),
) -> Prior:
    """Fit a prior to windows that a model was trained on, and write it beside the model.

    At most MAX_WINDOWS windows are used, evenly spread. Of these, up to the SPARSEST share is left
    out, by the bar with the fewest hits: samples near them have nearly empty bars.

    Args:
      network: The model.
      windows: Cut as in its training.
      groove: A folder whose info.csv has the styles; by default they are read from file names.
      log: Called with a line on what was fitted and written.
      fills: Of `find_fills`, for the direction from a groove to a fill.

    Raises:
      UsageError: there are too few windows, or the model cannot sample.
      GroovaeError: info.csv is missing or malformed, or the file cannot be written.
    """
    check_task("sample", network.config_name, network.layout, network.checkpoint)
    prior_fit.check_number(len(windows))
    chosen = _evenly_spread(len(windows))
    outputs = windows.outputs(chosen)
    hits = hits_per_bar(outputs, network.layout.meter)
    used = is_dense(hits)
    sources = [windows.source(int(number)) for number in chosen[used]]
    names = styles_of([source.filename for source in sources], groove)
    styles = ["" if name == UNKNOWN else name for name in names]
    mu, recordings = encode_windows(network, outputs[used]), [source.id for source in sources]
    prior = prior_fit.fit(mu, styles, recordings, network.fingerprint())
    directions = _directions(mu, outputs[used], network.layout)
    if fills and network.layout.split_bars > 1:
        directions["fill"] = _fill_direction(network, outputs[used], np.array(names), fills)
    densities = np.quantile(hits.mean(axis=1), QUANTILES)
    prior = dataclasses.replace(
        prior, directions=directions, densities=densities.astype(np.float32)
    )
    write_prior(prior_path(network), prior)
    log(_describe(network, prior))
    return prior


def fit_feel(network: Network, windows: CachedWindows, log: Log = no_log) -> Feel:
    """Fit a feel to windows that a model was not trained on, and write it beside the model.

    The model plays the hits of at most MAX_WINDOWS windows, evenly spread.

    Args:
      network: The model.
      windows: Cut as in its training.
      log: Called with a line on what was fitted and written.

    Raises:
      UsageError: there are too few hits.
      GroovaeError: the file cannot be written.
    """
    layout, chosen = network.layout, _evenly_spread(len(windows))
    outputs, tempo_qpm = windows.outputs(chosen), windows.tempos_qpm(chosen)
    hits = outputs[..., : layout.num_drums]
    feel_fit.check_number(int(hits.sum()))
    controls = to_controls(outputs, layout, tempo_qpm)
    mu = encode_windows(network, outputs, tempo_qpm)
    decoded = network.decode(mu, latent.forced_hit_thresholds(hits), controls)
    played = latent.condition_on_hits(*decoded)
    steps = layout.steps_per_quarter, layout.steps_per_bar
    found = _fit_hit_threshold(network, mu, outputs, controls)
    feel = feel_fit.fit_feel(outputs, played, *steps, network.fingerprint(), found)
    write_feel(feel_path(network), feel)
    log(f"fitted a feel to {feel.hits:,} hits; written to {feel_path(network)}")
    return feel


def is_dense(hits: np.ndarray) -> np.ndarray:
    """Return which windows are not among the SPARSEST, by their hits in each bar [n, bars]."""
    fewest = hits.min(axis=1)
    return fewest >= np.quantile(fewest, SPARSEST)


def find_fills(examples: Examples, layout: Layout) -> list[Fill]:
    """Return the bars of the records whose file name says that they are fills, with their style."""
    one_bar = dataclasses.replace(layout, split_bars=1, hop_steps=layout.steps_per_bar)
    found = examples.map(functools.partial(_fills_of, layout=one_bar))
    return [fill for fills in found for fill in fills]


def _fills_of(sequence: Any, layout: Layout) -> list[Fill]:
    if not is_fill(sequence.filename):
        return []
    bars = to_windows(sequence, layout).outputs
    (style,) = styles_of([sequence.filename])
    return [Fill(style, bar) for bar in bars if bar[:, : layout.num_drums].sum() >= MIN_FILL_HITS]


def _directions(mu: np.ndarray, outputs: np.ndarray, layout: Layout) -> dict[str, np.ndarray]:
    measures = {"density": features.density, "syncopation": features.syncopation}
    return {
        name: prior_fit.direction(mu, measure(outputs, layout.meter))
        for name, measure in measures.items()
    }


def _fill_direction(
    network: Network, outputs: np.ndarray, styles: np.ndarray, fills: Sequence[Fill]
) -> np.ndarray:
    """Return how latents change if the last bar becomes a fill instead of the bar before again."""
    rng, layout = np.random.RandomState(0), network.layout
    chosen = []
    for fill in fills:
        members = np.flatnonzero(styles == fill.style)
        chosen.append(int(rng.choice(members if len(members) else len(outputs))))
    bar = layout.steps_per_bar
    plain, filled = outputs[chosen], outputs[chosen]
    plain[:, -bar:] = plain[:, -2 * bar : -bar]
    filled[:, -bar:] = [fill.bar for fill in fills]
    after, before = (encode_windows(network, each).mean(axis=0) for each in (filled, plain))
    return after - before


def _fit_hit_threshold(
    network: Network, mu: np.ndarray, outputs: np.ndarray, controls: np.ndarray
) -> float:
    """Return the threshold of a model that adds hits to those it is given, 0 for others."""
    layout, hits = network.layout, outputs[..., : network.layout.num_drums]
    predicted = predicted_drums(layout)
    if task_of(layout) is None or not predicted.any():
        return 0.0
    found, forced = [], latent.forced_hit_thresholds(hits)
    for threshold in HIT_THRESHOLDS:
        thresholds = np.where(predicted, np.float32(threshold), forced)
        played = network.decode(mu, thresholds, controls)[0][..., : layout.num_drums]
        both = [part[..., predicted] > 0.5 for part in (hits, played)]
        found.append(2 * (both[0] & both[1]).sum() / max(both[0].sum() + both[1].sum(), 1))
    return HIT_THRESHOLDS[int(np.argmax(found))]


def _evenly_spread(num: int) -> np.ndarray:
    """Return the indices of at most MAX_WINDOWS of `num` windows."""
    return np.unique(np.linspace(0, max(num - 1, 0), min(num, MAX_WINDOWS)).astype(int))


def encode_windows(
    network: Network, outputs: np.ndarray, tempo_qpm: np.ndarray | float = DEFAULT_QPM
) -> np.ndarray:
    """Return the latent means of windows, [n, z_size]; see `make_controls` for the tempo."""
    layout = network.layout
    inputs = to_inputs(outputs, layout, np.random.RandomState(0))  # for note dropout
    return network.encode(inputs, to_controls(outputs, layout, tempo_qpm))[0]


def _describe(network: Network, prior: Prior) -> str:
    styles = ", ".join(prior.shares()) or "none known"
    return (
        f"fitted a prior of {len(prior.weights)} Gaussians to {prior.windows:,} windows, styles: "
        f"{styles}; directions: {', '.join(prior.directions)}; written to {prior_path(network)}"
    )
