"""What all methods of a GrooveModel share: network, random numbers, prior, feel, and decoding."""

import functools
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from groovae.config.layout import Layout
from groovae.config.tasks import CONFIGS, OF_WHOLE_GROOVES, check_task, task_of
from groovae.data.grid import Segments
from groovae.data.windows import to_controls, to_inputs
from groovae.errors import UsageError, check_number
from groovae.generation.grooves import (
    apply_performance,
    from_tensors,
    make_groove_like,
    to_notes_like,
)
from groovae.generation.infiller import Infiller
from groovae.generation.networks import load_feel
from groovae.generation.sampling import Sampler, Style
from groovae.generation.segments import (
    nonempty,
    split_groove,
)
from groovae.generation.steering import Steering
from groovae.model import latent
from groovae.model.feel import Feel
from groovae.model.network import Network
from groovae.model.prior import Prior
from groovae.music.midi_writer import MAX_TEMPO_QPM, MIN_TEMPO_QPM
from groovae.music.tempo import check_sequence
from groovae.system.log import Log

FEELS = ("mean", "drawn")
# The methods that draw the feel by default; the others stay as near to their input as they can.
DRAWN_TASKS = ("sample", *OF_WHOLE_GROOVES, *CONFIGS)


class BaseModel:
    """A network and how it generates.

    Attributes:
      checkpoint: The prefix of the checkpoint, or the folder of the export.
      config_name: The key of `CONFIG_MAP`.
      layout: How grooves are split, the pitches of drums, and the encoder's input.
      seed: The seed of the random draws.
      log: Called with a line on notes that are dropped and segments that stay empty.
      as_hits: Apply `latent.condition_on_hits` in all methods; otherwise only in the tasks whose
        hits are mixed with those of the input.
      infiller: Generates parts of windows.
      feel: `mean`, `drawn`, or None: `drawn` for the methods in DRAWN_TASKS, `mean` for others.
    """

    def __init__(
        self,
        network: Network,
        layout: Layout,
        seed: int,
        log: Log,
        as_hits: bool = True,
        feel: str | None = None,
    ):
        if feel not in (None, *FEELS):
            raise UsageError(f"feel must be mean or drawn, got {feel!r}")
        self.feel = feel
        self._network = network
        self._z_size = network.z_size
        self.checkpoint, self.config_name = network.checkpoint, network.config_name
        self.layout, self.seed, self.log, self.as_hits = layout, seed, log, as_hits
        self._sampler = Sampler(network, layout, self._decode, lambda line: self.log(line))
        self.infiller = Infiller(network, layout, self._sampler)
        self.reset_random()

    @property
    def config(self) -> Any:
        """The config, with the hparams the model was trained with; not of an exported model."""
        return self._of_checkpoint("config")

    @property
    def trained_model(self) -> Any:
        """Magenta's `TrainedModel`; not of an exported model."""
        return self._of_checkpoint("trained_model")

    def _of_checkpoint(self, name: str) -> Any:
        try:
            return getattr(self._network, name)
        except AttributeError as error:
            raise AttributeError(
                f"{self.checkpoint}: an exported model has no {name}; load the checkpoint that it "
                "was exported from"
            ) from error

    def reset_random(self) -> None:
        """Restart the random draws from the seed: the same calls return the same grooves."""
        self._random = np.random.RandomState(self.seed)
        self._feel_random = np.random.RandomState([self.seed, 1])

    @property
    def fitted_prior(self) -> Prior | None:
        """The prior fitted to the model, None if it has none.

        Raises:
          GroovaeError: it is damaged, or was fitted to another model.
        """
        return self._sampler.fitted_prior

    @functools.cached_property
    def fitted_feel(self) -> Feel | None:
        """The feel fitted to the model, None if it has none.

        Raises:
          GroovaeError: it is damaged.
        """
        feel = load_feel(self._network)
        shape = self.layout.steps_per_bar, self.layout.num_drums
        return feel if feel is None or feel.offset.spread.shape == shape else None

    def draws_feel(self, task: str) -> bool:
        """Return whether a method draws velocities and timing; see `feel`.

        Raises:
          UsageError: they are to be drawn, and no feel was fitted to the model.
        """
        if self.feel == "drawn" and self.fitted_feel is None:
            raise UsageError(
                f"{self.checkpoint}: this model has no feel to draw from; fit one with `groovae "
                "fit_feel`"
            )
        if self.feel is None and task not in DRAWN_TASKS:
            return False
        return self.feel != "mean" and self.as_hits and self.fitted_feel is not None

    def choose_prior(
        self, prior: str | None = None, style: Style | None = None, density: float | None = None
    ) -> Prior | None:
        """Return the prior that `sample` draws from, None for N(0, I); see `Sampler`."""
        return self._sampler.choose_prior(prior, style, density)

    # Shared by the tasks

    def _check_task(self, task: str) -> None:
        check_task(task, self.config_name, self.layout, self.checkpoint)

    def _read(self, groove: Any) -> Any:
        """Return a NoteSequence as it is, or read it from a path; raise UsageError for the rest."""
        if isinstance(groove, str | os.PathLike):
            from groovae.data.conversion import read_sequence  # and pretty_midi, which is slow

            return read_sequence(groove, log=self.log)
        check_sequence(groove)
        return groove

    def _split_all(self, groove: Any, layout: Layout | None = None) -> Segments:
        """Split a groove for a task that keeps the notes which the grid drops."""
        return split_groove(groove, layout or self.layout, self.log, keeps_notes=True)

    def _hits(self, segments: Segments) -> np.ndarray:
        return segments.outputs[..., : self.layout.num_drums]

    def _encode(self, segments: Segments) -> tuple[np.ndarray, np.ndarray]:
        """Return `mu` and `sigma`, float32 [n, z_size], zeros for empty segments."""
        mu, sigma = np.zeros((2, len(segments.outputs), self._z_size), np.float32)
        rows = nonempty(segments)
        inputs = to_inputs(segments.outputs[rows], self.layout)
        mu[rows], sigma[rows] = self._network.encode(inputs, self._controls(segments, rows))
        return mu, sigma

    def _controls(self, segments: Segments, rows: np.ndarray) -> np.ndarray:
        tempos_qpm = segments.timeline.bar_tempos_qpm()[:: self.layout.split_bars]
        return to_controls(segments.outputs[rows], self.layout, tempos_qpm[rows])

    def _thresholds(self, num: int, bars: int, temperature: float) -> np.ndarray:
        """Draw thresholds for sampled hits, [num, steps, drums]."""
        return self._sampler.thresholds(self._random, num, bars, temperature)

    @functools.cached_property
    def _hit_threshold(self) -> np.float32:
        """The logit over which there is a hit at temperature 0."""
        feel = self.fitted_feel if self.as_hits else None
        return np.float32(0 if feel is None else feel.hit_threshold)

    def _sample_thresholds(self, segments: Segments, temperature: float) -> np.ndarray:
        """Draw thresholds for the hits of segments, with none in the padding of bars."""
        thresholds = self._thresholds(len(segments.outputs), self.layout.split_bars, temperature)
        # At temperature 1 hits are as frequent as they should be without.
        thresholds += max(1 - temperature, 0) * self._hit_threshold
        if not segments.timeline.is_plain:
            thresholds[~segments.mask] = np.inf  # no hit
        return thresholds

    def _decode(
        self,
        z: np.ndarray,
        thresholds: np.ndarray,
        controls: np.ndarray | None = None,
        task: str | None = None,
    ) -> np.ndarray:
        """Decode latents to tensors, with `controls` if the model has controls."""
        as_hits = self.as_hits or task in CONFIGS
        controls = thresholds[..., :0] if controls is None else controls
        decoded = self._network.decode(z, thresholds, controls)
        return latent.condition_on_hits(*decoded) if as_hits else decoded[0]

    def _decode_segments(
        self, segments: Segments, z: np.ndarray, thresholds: np.ndarray, task: str
    ) -> np.ndarray:
        """Decode a `z` for each segment to tensors of the same shape; empty segments stay empty."""
        tensors = self._expect_segments(segments, z, thresholds, task)
        whole = tensors.reshape(1, -1, self.layout.depth)
        return self._with_feel(whole, task).reshape(tensors.shape)

    def _expect_segments(
        self, segments: Segments, z: np.ndarray, thresholds: np.ndarray, task: str
    ) -> np.ndarray:
        """Do the same with the velocities and offsets that the decoder expects."""
        tensors, rows = np.zeros_like(segments.outputs), nonempty(segments)
        controls = self._controls(segments, rows)
        tensors[rows] = self._decode(z[rows], thresholds[rows], controls, task)
        return tensors

    def _with_feel(self, tensors: np.ndarray, task: str) -> np.ndarray:
        """Return the tensors of grooves, [n, steps, depth], as `feel` says for a task."""
        if not self.draws_feel(task):
            return tensors
        assert self.fitted_feel is not None
        # The swing of a humanized groove is that of the input; see steering.py.
        options = {"is_new": task == "sample", "swings": task != "humanize"}
        return np.stack(
            [self.fitted_feel.draw(one, self._feel_random, **options) for one in tensors]
        )

    def _decode_groove(
        self, segments: Segments, z: np.ndarray, thresholds: np.ndarray, task: str
    ) -> Any:
        """Decode a `z` for each segment to one groove, with the pitches of the input."""
        tensors = self._decode_segments(segments, z, thresholds, task)
        return make_groove_like(segments, to_notes_like(segments, tensors, self.layout))

    def _decode_grooves(
        self,
        grooves: Sequence[Segments],
        z: Sequence[np.ndarray],
        thresholds: np.ndarray,
        task: str,
    ) -> list[Any]:
        """Decode a `z` for each segment of several grooves, in one batch: faster than in turn.

        All are played with the same feel, so that they differ by `z` only.
        """
        rows = [nonempty(segments) for segments in grooves]
        parts = [
            (z_of[at], thresholds[at], self._controls(segments, at))
            for segments, z_of, at in zip(grooves, z, rows, strict=True)
        ]
        all_z, all_thresholds, controls = map(np.concatenate, zip(*parts, strict=True))
        decoded = self._decode(all_z, all_thresholds, controls, task)
        ends = np.cumsum([len(at) for at in rows])
        found, state = [], self._feel_random.get_state()
        for segments, at, part in zip(grooves, rows, np.split(decoded, ends[:-1]), strict=True):
            tensors = np.zeros_like(segments.outputs)
            tensors[at] = part
            self._feel_random.set_state(state)
            played = self._with_feel(tensors.reshape(1, -1, self.layout.depth), task)
            found.append(make_groove_like(segments, to_notes_like(segments, played, self.layout)))
        return found

    def _apply_performance(
        self,
        segments: Segments,
        mu: np.ndarray,
        sigma: np.ndarray,
        temperature: float,
        steering: Steering,
    ) -> Any:
        """Return the groove's own hits with the decoded timing and dynamics."""
        check_number("temperature", temperature, 0)
        z = mu + temperature * sigma * self._random.randn(*mu.shape)
        thresholds = latent.forced_hit_thresholds(self._hits(segments))
        task = task_of(self.layout) or "humanize"
        tensors = self._decode_segments(segments, z, thresholds, task)
        return apply_performance(segments, tensors, steering)

    def _groove(self, tensor: np.ndarray, bars: int, tempo_qpm: float) -> Any:
        """Return `bars` bars of a tensor [steps, depth] as a NoteSequence."""
        check_number("tempo_qpm", tempo_qpm, MIN_TEMPO_QPM, MAX_TEMPO_QPM)
        tensor = tensor[: bars * self.layout.steps_per_bar]
        return from_tensors(tensor, bars, tempo_qpm, self.layout.pitch_classes, self.layout.meter)
