"""Generate the hidden cells of windows with a model of whole grooves: infill, extend, fills.

See infilling.py for what is hidden, and for the guess that fills it first.
"""

import numpy as np

from groovae.config.layout import Layout
from groovae.data.grid import Segments
from groovae.generation.infilling import Guess, fill, guess_hidden
from groovae.generation.sampling import Sampler
from groovae.model import latent
from groovae.model.network import Network

FILL_STRENGTH = 1.6  # at which toms and hi-hats are about as frequent as in the fills of GMD


class Infiller:
    """Generates hidden cells; float32 [n, window_steps, depth] go in and come out."""

    def __init__(self, network: Network, layout: Layout, sampler: Sampler):
        """Infill with a network.

        Args:
          network: The network.
          layout: Of its grooves.
          sampler: Samples from the network.
        """
        self._network, self._layout, self._sampler = network, layout, sampler

    def typical_windows(self) -> np.ndarray:
        return self._sampler.typical_windows

    def infill(
        self,
        rng: np.random.RandomState,
        segments: Segments,
        hidden: np.ndarray,
        sampled: np.ndarray,
        temperature: float,
    ) -> np.ndarray:
        """Return the windows of a groove with its hidden cells generated; see `windows`."""
        guess = guess_hidden(segments, hidden, self._layout, self.typical_windows)
        return self.windows(rng, segments.outputs, hidden, guess, sampled, temperature)

    def windows(
        self,
        rng: np.random.RandomState,
        windows: np.ndarray,
        hidden: np.ndarray,
        guess: Guess,
        sampled: np.ndarray,
        temperature: float,
        shift: np.ndarray | float = 0.0,
    ) -> np.ndarray:
        """Generate the hidden cells of windows.

        Args:
          rng: The source of random numbers.
          windows: float32 [n, window_steps, depth].
          hidden: bool [n, window_steps, drums].
          guess: What the hidden cells are first filled with; empty windows stay empty.
          sampled: Thresholds for hits, [n, window_steps, drums].
          temperature: Of the latents.
          shift: Added to the latents.
        """
        forced = latent.forced_hit_thresholds(windows[..., : self._layout.num_drums])
        thresholds = np.where(hidden, sampled - guess.bias, forced)
        noise = temperature * rng.randn(len(windows), self._network.z_size)
        outputs, rows = guess.outputs.copy(), np.flatnonzero(guess.outputs.any(axis=(1, 2)))
        mu, sigma = self._encode(outputs[rows])
        tensors = self._decode(mu + sigma * noise[rows] + shift, thresholds[rows])
        outputs[rows] = fill(windows[rows], hidden[rows], tensors)
        return outputs

    def extend(
        self,
        rng: np.random.RandomState,
        segments: Segments,
        hidden: np.ndarray,
        sampled: np.ndarray,
        temperature: float,
        drift: float,
    ) -> np.ndarray:
        """Return the windows of a groove whose last bars are hidden, with these generated.

        A segment that has bars of the groove is infilled. The latents of those after it are a chain
        that begins with its own.
        """
        first = 1 + int(np.flatnonzero(segments.outputs.any(axis=(1, 2)))[-1])
        begun = segments._replace(
            outputs=segments.outputs[:first], mask=segments.mask[:first], bars=first * self._bars
        )
        outputs = np.zeros_like(segments.outputs)
        outputs[:first] = self.infill(rng, begun, hidden[:first], sampled[:first], temperature)
        if first < len(outputs):
            start, _ = self._encode(outputs[first - 1 : first])
            z = self._sampler.chain(rng, len(outputs) - first, drift, start[0])
            outputs[first:] = self._decode(z, sampled[first:])
        return outputs

    def fills(
        self,
        rng: np.random.RandomState,
        segments: Segments,
        bars: np.ndarray,
        sampled: np.ndarray,
        temperature: float,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Generate fills in bars of a groove.

        Each is the last bar of a window with the bars before it, first filled with a copy of the
        last of them, and moves along the direction from grooves to fills.

        Args:
          rng: The source of random numbers.
          segments: Of the groove.
          bars: The bars of the model to fill, from 0; the first is not among them.
          sampled: Thresholds for hits, [n, window_steps, drums].
          temperature: Of the latents.

        Returns:
          The windows of the groove with the fills, and which cells were hidden.

        Raises:
          UsageError: the prior has no direction of fills.
        """
        shift = FILL_STRENGTH * self._sampler.need_prior().direction("fill")
        layout, steps = self._layout, self._layout.steps_per_bar
        by_bar = segments.outputs.reshape(-1, steps, layout.depth).copy()
        thresholds = sampled.reshape(len(by_bar), steps, layout.num_drums)
        before = bars[:, np.newaxis] + np.arange(1 - layout.split_bars, 1)
        before = np.where(before < 0, before % bars[:, np.newaxis], before)
        windows = by_bar[before].reshape(len(bars), layout.window_steps, layout.depth)
        hidden = np.zeros((len(bars), layout.window_steps, layout.num_drums), bool)
        hidden[:, -steps:] = True
        guessed = windows.copy()
        guessed[:, -steps:] = by_bar[bars - 1]
        drawn = np.zeros(hidden.shape, np.float32)
        drawn[:, -steps:] = thresholds[bars]
        guess = Guess(guessed, np.zeros(hidden.shape, np.float32))
        found = self.windows(rng, windows, hidden, guess, drawn, temperature, shift)
        by_bar[bars] = found[:, -steps:]
        cells = np.zeros((len(by_bar), steps, layout.num_drums), bool)
        cells[bars] = True
        return by_bar.reshape(segments.outputs.shape), cells.reshape(sampled.shape)

    @property
    def _bars(self) -> int:
        return self._layout.split_bars

    def _encode(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._network.encode(windows, windows[..., :0])

    def _decode(self, z: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """Decode hits that are mixed with those of the input."""
        decoded = self._network.decode(z, np.asarray(thresholds, np.float32), thresholds[..., :0])
        return latent.condition_on_hits(*decoded)
