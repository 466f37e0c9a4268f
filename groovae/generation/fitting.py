"""Fit a prior and a feel to a model; see groovae.model.prior and groovae.model.feel.

A prior is fitted to windows that the model was trained on, a feel to others.
"""

import numpy as np

from groovae.config.tasks import check_task
from groovae.data.styles import UNKNOWN, styles_of
from groovae.data.window_cache import CachedWindows
from groovae.data.windows import to_controls, to_inputs
from groovae.generation.networks import feel_path, prior_path
from groovae.metrics.structure import hits_per_bar
from groovae.model import feel_fit, latent, prior_fit
from groovae.model.feel import Feel, write_feel
from groovae.model.network import Network
from groovae.model.prior import Prior, write_prior
from groovae.system.log import Log, no_log

MAX_WINDOWS = 4096
SPARSEST = 0.05


def fit_prior(
    network: Network,
    windows: CachedWindows,
    groove: str | None = None,
    log: Log = no_log,
) -> Prior:
    """Fit a prior to windows that a model was trained on, and write it beside the model.

    At most MAX_WINDOWS windows are used, evenly spread. Of these, up to the SPARSEST share is left
    out, by the bar with the fewest hits: samples near them have nearly empty bars.

    Args:
      network: The model.
      windows: Cut as in its training.
      groove: A folder whose info.csv has the styles; by default they are read from file names.
      log: Called with a line on what was fitted and written.

    Raises:
      UsageError: there are too few windows, or the model cannot sample.
      GroovaeError: info.csv is missing or malformed, or the file cannot be written.
    """
    check_task("sample", network.config_name, network.layout, network.checkpoint)
    prior_fit.check_number(len(windows))
    chosen = _evenly_spread(len(windows))
    outputs = windows.outputs(chosen)
    fewest = hits_per_bar(outputs, network.layout.meter).min(axis=1)
    used = fewest >= np.quantile(fewest, SPARSEST)
    sources = [windows.source(int(number)) for number in chosen[used]]
    names = styles_of([source.filename for source in sources], groove)
    styles = ["" if name == UNKNOWN else name for name in names]
    mu, recordings = _encode(network, outputs[used]), [source.id for source in sources]
    prior = prior_fit.fit(mu, styles, recordings, network.fingerprint())
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
    layout, outputs = network.layout, windows.outputs(_evenly_spread(len(windows)))
    hits = outputs[..., : layout.num_drums]
    feel_fit.check_number(int(hits.sum()))
    controls = to_controls(outputs, layout)
    decoded = network.decode(
        _encode(network, outputs), latent.forced_hit_thresholds(hits), controls
    )
    played = latent.condition_on_hits(*decoded)
    steps = layout.steps_per_quarter, layout.steps_per_bar
    feel = feel_fit.fit_feel(outputs, played, *steps, model=network.fingerprint())
    write_feel(feel_path(network), feel)
    log(f"fitted a feel to {feel.hits:,} hits; written to {feel_path(network)}")
    return feel


def _evenly_spread(num: int) -> np.ndarray:
    """Return the indices of at most MAX_WINDOWS of `num` windows."""
    return np.unique(np.linspace(0, max(num - 1, 0), min(num, MAX_WINDOWS)).astype(int))


def _encode(network: Network, outputs: np.ndarray) -> np.ndarray:
    layout = network.layout
    inputs = to_inputs(outputs, layout, np.random.RandomState(0))  # for note dropout
    return network.encode(inputs, to_controls(outputs, layout))[0]


def _describe(network: Network, prior: Prior) -> str:
    styles = ", ".join(prior.shares()) or "none known"
    return (
        f"fitted a prior of {len(prior.weights)} Gaussians to {prior.windows:,} windows, styles: "
        f"{styles}; written to {prior_path(network)}"
    )
