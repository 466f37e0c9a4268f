"""Draw latents from a prior and decode them: by style, by density, or near the latent of a groove.

The fitted prior of a model is used if it has one, or else N(0, I) as in Magenta.
"""

import functools
from collections.abc import Callable, Mapping

import numpy as np

from groovae.config.layout import Layout
from groovae.errors import UsageError, check_number, check_whole
from groovae.generation.networks import load_prior
from groovae.model import latent
from groovae.model.network import Network
from groovae.model.prior import ForeignPrior, Prior
from groovae.music.midi_writer import MAX_BARS
from groovae.system.log import Log

MAX_OUTPUTS = 1_000_000
PRIORS = ("fitted", "standard")
NUM_CANDIDATES = 24  # of which the one with the density that was asked for is taken
NUM_TYPICAL = 128

Style = str | Mapping[str, float]

# Draws latents [n, z_size] from their number, drift and random numbers.
Chain = Callable[[int, float, np.random.RandomState], np.ndarray]


class Sampler:
    """Samples windows of a network."""

    def __init__(
        self,
        network: Network,
        layout: Layout,
        decode: Callable[[np.ndarray, np.ndarray], np.ndarray],
        log: Log,
    ):
        """Sample from a network.

        Args:
          network: The network.
          layout: Of its grooves.
          decode: Decodes latents with the thresholds of hits.
          log: Called with a line if the fitted prior is one of another model.
        """
        self._network, self._layout, self._decode, self._log = network, layout, decode, log

    def sample(
        self,
        rng: np.random.RandomState,
        num_outputs: int,
        bars: int,
        temperature: float,
        drift: float,
        prior: str | None = None,
        style: Style | None = None,
        density: float | None = None,
        start: np.ndarray | None = None,
    ) -> np.ndarray:
        """Return float32 [num_outputs, steps_per_bar * bars, depth]; see `GrooveModel.sample`.

        Args:
          rng: The source of random numbers.
          num_outputs: Of grooves, 1 to MAX_OUTPUTS.
          bars: Of each groove.
          temperature: Of the hits.
          drift: Between segments.
          prior: `fitted` or `standard`.
          style: One of the fitted prior, or several with weights.
          density: The quantile of the hits a bar.
          start: A latent [z_size], near which the first segment is.
        """
        check_whole("num_outputs", num_outputs, 1, MAX_OUTPUTS)
        check_whole("bars", bars, 1, MAX_BARS)
        check_number("drift", drift, 0, 1)
        chosen = self.choose_prior(prior, style, density)
        chain = self._chain_of(chosen, style, start)
        num_segments = -(-bars // self._layout.split_bars)
        segment_bars = min(bars, self._layout.split_bars)

        def draw() -> tuple[np.ndarray, np.ndarray]:
            z = chain(num_segments, drift, rng)
            return z, self.thresholds(rng, num_segments, segment_bars, temperature)

        def decode(num: int) -> np.ndarray:  # one after another, so that the first stays the same
            z, thresholds = map(np.concatenate, zip(*(draw() for _ in range(num)), strict=True))
            tensors = self._decode(z, thresholds).reshape(num, -1, self._layout.depth)
            return tensors[:, : bars * self._layout.steps_per_bar]

        if density is None or chosen is None:
            return decode(num_outputs)
        hits = chosen.hits_per_bar(density) * bars
        candidates = (decode(NUM_CANDIDATES) for _ in range(num_outputs))
        return np.stack([self._with_hits(tensors, hits) for tensors in candidates])

    def chain(
        self, rng: np.random.RandomState, num_links: int, drift: float, start: np.ndarray
    ) -> np.ndarray:
        """Draw latents [num_links, z_size] that drift away from a latent [z_size]."""
        check_number("drift", drift, 0, 1)
        return self._chain_of(self._prior_if_fitting, None, start)(num_links, drift, rng)

    def thresholds(
        self, rng: np.random.RandomState, num: int, bars: int, temperature: float
    ) -> np.ndarray:
        """Draw thresholds for sampled hits, [num, steps, drums]."""
        check_number("temperature", temperature, 0)
        shape = (num, bars * self._layout.steps_per_bar, self._layout.num_drums)
        return latent.thresholds(shape, temperature, rng)

    @functools.cached_property
    def typical_windows(self) -> np.ndarray:
        """Samples at temperature 0, always the same ones: [NUM_TYPICAL, window_steps, depth]."""
        rng, bars = np.random.RandomState(0), self._layout.split_bars
        return self.sample(rng, NUM_TYPICAL, bars, temperature=0, drift=1)

    @functools.cached_property
    def fitted_prior(self) -> Prior | None:
        """See `GrooveModel.fitted_prior`."""
        return load_prior(self._network)

    def choose_prior(
        self, prior: str | None, style: Style | None, density: float | None = None
    ) -> Prior | None:
        """Return the fitted prior if `sample` draws from it, None if it draws from N(0, I).

        A prior of another model, as after more training, is not used unless it is asked for.

        Raises:
          UsageError: there is no such prior or style.
          GroovaeError: the fitted prior is damaged, or was fitted to another model.
        """
        if prior not in (None, *PRIORS):
            raise UsageError(f"prior must be {' or '.join(PRIORS)}, got {prior!r}")
        needing = "a style" if style is not None else "a density"
        is_needed = style is not None or density is not None
        if prior == "standard":
            if is_needed:
                raise UsageError(f"{needing} needs the fitted prior, not the standard one")
            return None
        if prior is None and not is_needed:
            return self._prior_if_fitting
        fitted = self.need_prior()
        if style is not None:
            fitted.check_style(style)
        if density is not None:
            fitted.hits_per_bar(density)
        return fitted

    def need_prior(self) -> Prior:
        """Return the fitted prior; raise a UsageError if it is missing."""
        if self.fitted_prior is None:
            raise UsageError(
                f"{self._network.checkpoint}: this model has no fitted prior; fit one with "
                "`groovae fit_prior`"
            )
        return self.fitted_prior

    def direction(self, more: str | None, less: str | None) -> np.ndarray | None:
        """Return the direction in latent space to more or less of a quality, None for neither."""
        if more is None and less is None:
            return None
        if more is not None and less is not None:
            raise UsageError("more and less contradict each other; give one")
        sign = 1 if more is not None else -1
        return sign * self.need_prior().direction(more or less or "")

    @functools.cached_property
    def _prior_if_fitting(self) -> Prior | None:
        try:
            return self.fitted_prior
        except ForeignPrior as error:
            self._log(f"sampling from the standard prior: {error}")
            return None

    def _chain_of(
        self, prior: Prior | None, style: Style | None, start: np.ndarray | None
    ) -> Chain:
        """Return the function that draws the latents of a groove."""
        if prior is not None:
            return functools.partial(prior.chain, style=style, start=start)
        z_size = self._network.z_size
        return lambda num, drift, rng: latent.chain(num, z_size, drift, rng, start)

    def _with_hits(self, candidates: np.ndarray, hits: float) -> np.ndarray:
        """Return the candidate whose number of hits is the nearest."""
        counts = (candidates[..., : self._layout.num_drums] > 0.5).sum(axis=(1, 2))
        return candidates[np.argmin(np.abs(counts - hits))]
