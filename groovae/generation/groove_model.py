"""Plays a trained model, by Magenta's `TrainedModel` or as exported, with a method for each task.

    import groovae
    model = groovae.load_model(".train", seed=7)
    grooves = model.sample(num_outputs=4, temperature=0.5, tempo_qpm=96)
    take = groovae.read_sequence("take.mid")
    groovae.write_sequence("again.mid", model.reconstruct(take))

Grooves are NoteSequences, in and out (see grooves.py). One of any length is cut at its bar lines
into pieces of the model's length, the last one filled up with silence. Each piece is encoded to a
`z` of its own and decoded from it; what comes out is put together again and ends with the input's
last bar. A piece without a hit stays empty.

Each method that takes a groove also takes the path of a music file.

`temperature` says how much is left to chance, 0 nothing. Where a model draws hits, their logits are
divided by it, as in Magenta: at 1 a drum is hit as often as the model has learned. Where the hits
are given (`humanize`, `transfer`), the feel varies: z = mu + temperature * sigma * noise.
"""

import dataclasses
import math
import os
import secrets
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from groovae.config.layout import Layout
from groovae.config.tasks import check_task, task_of
from groovae.data.conversion import read_sequence
from groovae.data.grid import Segments
from groovae.data.windows import predicted_drums, to_controls, to_inputs
from groovae.errors import GroovaeError, UsageError
from groovae.generation.bundled import default_checkpoint
from groovae.generation.grooves import apply_performance, drum_notes, from_tensors, make_groove
from groovae.generation.segments import (
    nonempty,
    split_groove,
    tap_layout,
    to_tensor,
    trim_to_shorter,
)
from groovae.metrics import scores
from groovae.model import latent
from groovae.model.formats import is_onnx_export
from groovae.model.network import Decoded, Network
from groovae.model.onnx_network import load_export
from groovae.music.drums import CLOSED_HIHAT, DRUM_MAPS, read_drum_map
from groovae.music.midi_writer import MAX_BARS, MAX_TEMPO_QPM, MIN_TEMPO_QPM
from groovae.music.tempo import check_sequence, tempo_of
from groovae.system.log import Log

MAX_BATCH_SIZE = 512


class GrooveModel:
    """A trained GrooVAE model, ready to play.

    Attributes:
      checkpoint: The prefix of the checkpoint it was loaded from, or the folder of an export.
      config_name: The key of `CONFIG_MAP`.
      layout: How it cuts a groove, by which pitches, and what its encoder gets to see.
      seed: What its random draws start from.
      log: Gets a line on whatever is lost or stays empty.
      as_hits: Apply `latent.condition_on_hits` in all methods; otherwise only in the tasks whose
        hits are mixed with those of the input.
    """

    def __init__(
        self,
        network: Network,
        layout: Layout,
        seed: int,
        log: Log,
        as_hits: bool = False,
    ):
        self._network = network
        self.checkpoint, self.config_name = network.checkpoint, network.config_name
        self.layout, self.seed, self.log, self.as_hits = layout, seed, log, as_hits
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
        """Starts the random draws anew from the seed: the same calls give the same grooves."""
        self._random = np.random.RandomState(self.seed)

    # Latents

    def sample(
        self,
        num_outputs: int = 1,
        bars: int = 4,
        temperature: float = 0.5,
        tempo_qpm: float = 120.0,
        drift: float = 0.5,
    ) -> list[Any]:
        """Draws grooves: `z` from the prior, decoded.

        More bars than the model has are several pieces. Their latents are a chain (see
        `latent.chain`): each is drawn from the prior and resembles its neighbours.

        Args:
          num_outputs: How many grooves, 1 or more.
          bars: Their length in bars of 4/4, 1 or more.
          temperature: 0 or more; see above.
          tempo_qpm: Quarters a minute to play them at.
          drift: From one piece to the next: 0 for the same `z` all along, 1 for a new one.

        Returns:
          NoteSequences. A second call goes on drawing, so it gives other grooves.

        Raises:
          UsageError: a value is out of range, or the model needs hits to follow.
        """
        tensors = self.sample_tensors(num_outputs, bars, temperature, drift)
        return [self._groove(tensor, bars, tempo_qpm) for tensor in tensors]

    def sample_tensors(
        self, num_outputs: int = 1, bars: int = 4, temperature: float = 0.5, drift: float = 0.5
    ) -> np.ndarray:
        """The grooves of `sample` as float32 [num_outputs, 16 * bars, 27]."""
        _check_count("number of outputs", num_outputs)
        _check_bars(bars)
        _check_share("drift", drift)
        check_task("sample", self.config_name, self.checkpoint)
        num_pieces = -(-bars // self.layout.split_bars)
        piece_bars = min(bars, self.layout.split_bars)
        z, thresholds = [], []
        # One groove after another, so that the first is the same however many there are.
        for _ in range(num_outputs):
            z.append(latent.chain(num_pieces, self._z_size, drift, self._random))
            thresholds.append(self._thresholds(num_pieces, piece_bars, temperature))
        tensors = self._decode(np.concatenate(z), np.concatenate(thresholds))
        tensors = tensors.reshape(num_outputs, -1, self.layout.depth)
        return tensors[:, : bars * self.layout.steps_per_bar]

    def encode(self, groove: Any) -> np.ndarray:
        """The latent means `mu` of a groove, float32 [pieces, z_size]."""
        return self._encode(self.split(groove))[0]

    def decode(
        self,
        z: np.ndarray,
        bars: int | None = None,
        temperature: float = 0.5,
        tempo_qpm: float = 120.0,
    ) -> list[Any]:
        """Decodes latents to grooves, one each; see `sample`.

        Args:
          z: [n, z_size].
          bars: Their length; the model's own where it is None. Of longer grooves than it was
            trained on a model knows little.
          temperature: 0 or more; see above.
          tempo_qpm: Quarters a minute to play them at.
        """
        bars = self.layout.split_bars if bars is None else bars
        tensors = self.decode_to_tensors(z, bars, temperature)
        return [self._groove(tensor, bars, tempo_qpm) for tensor in tensors]

    def decode_to_tensors(self, z: np.ndarray, bars: int, temperature: float) -> np.ndarray:
        """Decodes `z` [n, z_size] to float32 [n, 16 * bars, 27]: hits, velocities, offsets."""
        check_task("sample", self.config_name, self.checkpoint)
        _check_bars(bars)
        if z.ndim != 2 or not len(z) or z.shape[1] != self._z_size:
            raise UsageError(f"z must be of the shape [n, {self._z_size}], got {list(z.shape)}")
        return self._decode(z, self._thresholds(len(z), bars, temperature))

    def split(self, groove: Any) -> Segments:
        """What the model hears of a groove, in pieces; see `grid.to_segments`.

        Raises:
          GroovaeError: it has no drums, is not in 4/4, or changes its tempo.
        """
        return split_groove(self._read(groove), self.layout, self.log)

    def compare(self, reference: Any, estimate: Any) -> dict[str, float]:
        """How near a groove comes to another, by what the model hears; see `metrics.scores`."""
        reference, estimate = self._read(reference), self._read(estimate)
        heard = [to_tensor(groove, self.layout) for groove in (reference, estimate)]
        steps = max(map(len, heard))
        # As long as both, each as a set of one window.
        here, there = (np.pad(one, [(0, steps - len(one)), (0, 0)])[np.newaxis] for one in heard)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of grooves without hits, which `cut` tells of
            return scores.scores(scores.tally(here, there, tempo_of(reference)))

    def predict_windows(self, windows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """What the model makes of windows as it was trained to, with nothing left to chance.

        Its encoder gets to see what it saw in training, the hits it is not asked for are given, and
        the others are the likeliest ones. In a model that hears whole grooves this reconstructs.

        Args:
          windows: float32 [n, steps, depth], steps of the model's own number.

        Returns:
          What it plays, float32 [n, steps, depth], and `mu` and `sigma`, [n, z_size].
        """
        controls = to_controls(windows, self.layout)
        mu, sigma = self._network.encode(to_inputs(windows, self.layout), controls)
        thresholds = np.where(
            predicted_drums(self.layout),
            np.float32(0),  # where a hit is likelier than none
            latent.forced_hit_thresholds(windows[..., : self.layout.num_drums]),
        )
        played = self._network.decode(mu, thresholds, controls)
        is_task = task_of(self.config_name) is not None
        return self._final_tensors(played, is_task), mu, sigma

    # Whole grooves

    def reconstruct(self, groove: Any, temperature: float = 0.0) -> Any:
        """Encodes a groove and decodes it: what the model makes of it."""
        check_task("reconstruct", self.config_name, self.checkpoint)
        segments = self.split(groove)
        return self._decoded(
            segments, self._encode(segments)[0], self._sample_thresholds(segments, temperature)
        )

    def interpolate(
        self, start: Any, end: Any, num_steps: int = 5, temperature: float = 0.0
    ) -> list[Any]:
        """Grooves on the way from one to another: `latent.slerp` between their latents.

        The first and the last are the reconstructions of both. All are as long as the shorter one,
        at the tempo of the first, and drawn by the same random numbers, so that nothing but `z`
        makes them differ.

        Args:
          start: The groove to begin with.
          end: The groove to end with.
          num_steps: How many grooves, both ends included, 2 or more.
          temperature: See above.
        """
        _check_count("number of steps", num_steps, at_least=2)
        check_task("interpolate", self.config_name, self.checkpoint)
        first, last = trim_to_shorter(self.split(start), self.split(end), self.layout, self.log)
        from_z, to_z = self._encode(first)[0], self._encode(last)[0]
        thresholds = self._sample_thresholds(first, temperature)
        between = first._replace(outputs=np.maximum(first.outputs, last.outputs))
        ways = [
            first,
            *[between] * (num_steps - 2),
            last._replace(tempo_qpm=first.tempo_qpm, meter=first.meter),
        ]
        return [
            self._decoded(way, latent.slerp(from_z, to_z, share), thresholds)
            for way, share in zip(ways, np.linspace(0, 1, num_steps), strict=True)
        ]

    def vary(
        self, groove: Any, amount: float = 0.3, num_outputs: int = 1, temperature: float = 0.0
    ) -> list[Any]:
        """Neighbours of a groove in latent space: a `latent.step_away` from it.

        Args:
          groove: What is varied. All its pieces step the same way, so that what comes again in it
            comes again in its variation.
          amount: How far, from 0, the reconstruction, to 1, some other groove.
          num_outputs: How many variations, each in another direction.
          temperature: See above.
        """
        _check_count("number of outputs", num_outputs)
        _check_share("amount", amount)
        check_task("vary", self.config_name, self.checkpoint)
        segments = self.split(groove)
        mu, _ = self._encode(segments)
        thresholds = self._sample_thresholds(segments, temperature)
        return [
            self._decoded(segments, latent.step_away(mu, noise, amount), thresholds)
            for noise in self._random.randn(num_outputs, self._z_size)
        ]

    # Tasks with models of their own

    def humanize(self, groove: Any, temperature: float = 0.5) -> Any:
        """Plays the hits of a stiff beat, and just those, with a drummer's timing and dynamics."""
        check_task("humanize", self.config_name, self.checkpoint)
        groove = self._read(groove)
        segments = split_groove(groove, self.layout, self.log, keeps_notes=True)
        return self._apply_performance(groove, segments, *self._encode(segments), temperature)

    def transfer(self, groove: Any, beat: Any, temperature: float = 0.0) -> Any:
        """Plays the hits of `beat`, and just those, with the feel of `groove`.

        Each piece of `groove` that has hits lends its feel to a piece of `beat`, in turn.
        """
        check_task("transfer", self.config_name, self.checkpoint)
        beat = self._read(beat)
        feel, segments = (
            self.split(groove),
            split_groove(beat, self.layout, self.log, keeps_notes=True),
        )
        mu, sigma = self._encode(feel)
        turns = np.resize(nonempty(feel), len(segments.outputs))
        return self._apply_performance(beat, segments, mu[turns], sigma[turns], temperature)

    def tap2drum(self, taps: Any, temperature: float = 0.5) -> Any:
        """Plays a beat on the whole kit from a tapped rhythm.

        Any drum is a tap, and so is any note where there are no drums. When they come counts, how
        loud they are does not.
        """
        check_task("tap2drum", self.config_name, self.checkpoint)
        taps = self._read(taps)
        segments = split_groove(taps, tap_layout(self.layout, taps), self.log, keeps_notes=True)
        thresholds = self._sample_thresholds(segments, temperature)
        return self._decoded(segments, self._encode(segments)[0], thresholds, as_hits=True)

    def add_hihat(self, groove: Any, temperature: float = 0.5) -> Any:
        """Plays a closed hi-hat to a groove, in place of its own; leaves the other drums alone.

        What else has the class of the closed hi-hat, such as a tambourine, is another drum: the
        model does not hear it, and it stays.
        """
        check_task("add_hihat", self.config_name, self.checkpoint)
        groove = self._read(groove)
        segments = split_groove(groove, self.layout, self.log, keeps_notes=True)
        thresholds = latent.forced_hit_thresholds(segments.outputs[..., : self.layout.num_drums])
        thresholds[..., CLOSED_HIHAT] = self._sample_thresholds(segments, temperature)[
            ..., CLOSED_HIHAT
        ]
        played = self._decoded(segments, self._encode(segments)[0], thresholds, as_hits=True)
        written = self.layout.pitch_classes[CLOSED_HIHAT][0]
        hihats = {written, *DRUM_MAPS["roland"][CLOSED_HIHAT]}
        drums = drum_notes(groove, segments)
        others = [note for note, cell in drums if cell < 0 or note.pitch not in hihats]
        if len(others) < len(drums):
            self.log(f"{len(drums) - len(others):,} hits of its own hi-hat are replaced")
        hihat = [note for note in played.notes if note.pitch == written]
        return make_groove([*others, *hihat], segments.bars, segments.tempo_qpm, segments.meter)

    # What they share

    def _read(self, groove: Any) -> Any:
        """Return a NoteSequence as it is, or read it from a path; raise UsageError for the rest."""
        if isinstance(groove, str | os.PathLike):
            return read_sequence(groove, log=self.log)
        check_sequence(groove)
        return groove

    @property
    def _z_size(self) -> int:
        return self._network.z_size

    def _encode(self, segments: Segments) -> tuple[np.ndarray, np.ndarray]:
        """`mu` and `sigma`, float32 [n, z_size]; zeros for a piece without a hit."""
        mu, sigma = np.zeros((2, len(segments.outputs), self._z_size), np.float32)
        heard = nonempty(segments)
        outputs = segments.outputs[heard]
        mu[heard], sigma[heard] = self._network.encode(
            to_inputs(outputs, self.layout), to_controls(outputs, self.layout)
        )
        return mu, sigma

    def _thresholds(self, num: int, bars: int, temperature: float) -> np.ndarray:
        """For hits that are drawn, [num, steps, drums]."""
        _check_temperature(temperature)
        shape = (num, bars * self.layout.steps_per_bar, self.layout.num_drums)
        return latent.thresholds(shape, temperature, self._random)

    def _sample_thresholds(self, segments: Segments, temperature: float) -> np.ndarray:
        return self._thresholds(len(segments.outputs), self.layout.split_bars, temperature)

    def _decode(self, z: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
        """Decodes without controls."""
        no_controls = np.zeros((*thresholds.shape[:2], 0), np.float32)
        return self._final_tensors(self._network.decode(z, thresholds, no_controls))

    def _final_tensors(self, decoded: Decoded, as_hits: bool = False) -> np.ndarray:
        """What was decoded, with velocities and offsets as those of hits, or as they are."""
        return latent.condition_on_hits(*decoded) if as_hits or self.as_hits else decoded[0]

    def _play(
        self, segments: Segments, z: np.ndarray, thresholds: np.ndarray, as_hits: bool = False
    ) -> np.ndarray:
        """Decodes a `z` for each piece to tensors like those of `segments`; silence stays silence.

        With `as_hits` velocities and offsets are those of a hit; see `latent.condition_on_hits`.
        """
        tensors, heard = np.zeros_like(segments.outputs), nonempty(segments)
        controls = to_controls(segments.outputs[heard], self.layout)
        decoded = self._network.decode(z[heard], thresholds[heard], controls)
        tensors[heard] = self._final_tensors(decoded, as_hits)
        return tensors

    def _decoded(
        self, segments: Segments, z: np.ndarray, thresholds: np.ndarray, as_hits: bool = False
    ) -> Any:
        """The groove that is decoded from a `z` for each piece."""
        tensor = self._play(segments, z, thresholds, as_hits).reshape(-1, self.layout.depth)
        return self._groove(tensor, segments.bars, segments.tempo_qpm, segments.meter)

    def _apply_performance(
        self, groove: Any, segments: Segments, mu: np.ndarray, sigma: np.ndarray, temperature: float
    ) -> Any:
        """The groove's own hits with the timing and dynamics that are decoded to them."""
        _check_temperature(temperature)
        z = mu + temperature * sigma * self._random.randn(*mu.shape)
        thresholds = latent.forced_hit_thresholds(segments.outputs[..., : self.layout.num_drums])
        return apply_performance(
            groove, segments, self._play(segments, z, thresholds, as_hits=True)
        )

    def _groove(
        self, tensor: np.ndarray, bars: int, tempo_qpm: float, meter: tuple[int, int] = (4, 4)
    ) -> Any:
        """`bars` bars of a tensor [steps, depth] as a NoteSequence."""
        if not MIN_TEMPO_QPM <= tempo_qpm <= MAX_TEMPO_QPM:
            raise UsageError(
                f"tempo must lie between {MIN_TEMPO_QPM:g} and {MAX_TEMPO_QPM:g} bpm, "
                f"got {tempo_qpm:g}"
            )
        tensor = tensor[: bars * self.layout.steps_per_bar]
        return from_tensors(tensor, bars, tempo_qpm, self.layout.pitch_classes, meter)


def _to_stderr(line: str) -> None:
    print(line, file=sys.stderr)


def load_model(
    checkpoint: str | os.PathLike[str] | None = None,
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    seed: int | None = None,
    batch_size: int = 1,
    drum_map: str = "gm",
    all_notes: bool = False,
    task: str | None = None,
    log: Log = _to_stderr,
    as_hits: bool = False,
) -> GrooveModel:
    """Loads a checkpoint with the configuration it was trained with, or an exported model.

    Args:
      checkpoint: A training folder, whose newest checkpoint is taken, a checkpoint's prefix, a
        `.tar`, or what `groovae export --format=onnx` wrote, which plays without TensorFlow. Where
        it is None `.train`, or, if nothing is trained there, the model that comes with groovae.
      config: A key of `CONFIG_MAP`; needed only where `config.json` does not lie beside it, and the
        model is not one for `task`.
      hparams: `name=value,...`; likewise.
      seed: For all that is drawn; the same seed and calls give the same grooves. Drawn where it is
        None.
      batch_size: How many pieces to decode at a time, up to 512.
      drum_map: The pitches of drums in MIDI: `gm`, `roland` or a file; see `drums.read_drum_map`.
      all_notes: Take the notes of all channels for drums.
      task: What the model shall do, by the name of the method; one that cannot is refused.
      log: Gets a line on whatever is lost or stays empty; it goes to stderr by default.
      as_hits: See `GrooveModel`.

    Raises:
      GroovaeError: no checkpoint there, or it is damaged or another model's; onnxruntime is not
        installed, which an export is played by.
      UsageError: unknown config, hparams or drum map, or they contradict `config.json`, or the
        model is for another task.
    """
    if seed is not None and not 0 <= seed < 2**31:
        raise UsageError(f"the seed must lie between 0 and 2**31 - 1, got {seed}")
    pitches = read_drum_map(drum_map)
    if checkpoint is None:
        checkpoint = default_checkpoint(task, log)
    batch_size = min(max(1, batch_size), MAX_BATCH_SIZE)
    network = _loader(checkpoint)(checkpoint, config, hparams, task, batch_size)
    layout = dataclasses.replace(
        network.layout,
        pitch_classes=pitches,
        all_notes=all_notes,
        max_note_dropout_probability=None,
    )
    seed = secrets.randbelow(2**31) if seed is None else seed
    return GrooveModel(network, layout, seed, log, as_hits)


def _loader(checkpoint: str | os.PathLike[str]) -> Callable[..., Network]:
    """What loads a checkpoint, or an export."""
    if is_onnx_export(checkpoint):
        return load_export
    try:
        from groovae.model.tensorflow_network import load_checkpoint
    except GroovaeError as error:
        raise GroovaeError(
            f"{checkpoint}: no exported model here, and to play a checkpoint {error}; or name a "
            "folder that `groovae export --format=onnx` wrote by --checkpoint"
        ) from error
    return load_checkpoint


def _check_count(what: str, value: int, at_least: int = 1) -> None:
    if value < at_least:
        raise UsageError(f"the {what} must be {at_least} or more, got {value}")


def _check_bars(bars: int) -> None:
    if not 1 <= bars <= MAX_BARS:
        raise UsageError(f"the number of bars must lie between 1 and {MAX_BARS:,}, got {bars:,}")


def _check_share(what: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise UsageError(f"{what} must lie between 0 and 1, got {value:g}")


def _check_temperature(temperature: float) -> None:
    if not 0 <= temperature < math.inf:
        raise UsageError(f"temperature must be 0 or more, got {temperature:g}")
