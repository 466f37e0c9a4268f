"""Generate grooves with a trained model, a checkpoint or an ONNX export: a method for each task.

    import groovae
    model = groovae.load_model(".train", seed=7)
    grooves = model.sample(num_outputs=4, temperature=0.5, tempo_qpm=96)
    groovae.write_sequence("again.mid", model.reconstruct("take.mid"))

Grooves are NoteSequences (see grooves.py); where a method takes one, it also takes the path of a
music file. A groove of any length is split at its bar lines into segments of the model's length,
the last one padded with silence. Each segment is encoded to a `z` of its own and decoded from it;
the output has as many bars as the input. Segments without a hit stay empty.

`temperature` sets the amount of randomness; 0 is deterministic. Where the model samples hits, it
divides their logits, as in Magenta: at 1 hits are as likely as the model learned. Where the hits
are given (`humanize`, `transfer`), it scales the noise of the latents, in
z = mu + temperature * sigma * noise.

`feel` decides velocities and timing of the hits: `mean`, as the decoder expects them, or `drawn`,
with deviations as a drummer's around them (see `model/feel.py`), if a feel was fitted to the model.
"""

from collections.abc import Iterable
from typing import Any

import numpy as np

from groovae.config.tasks import task_of
from groovae.data.grid import Segments
from groovae.data.windows import predicted_drums, to_controls, to_inputs
from groovae.errors import UsageError, check_number, check_whole
from groovae.generation import infilling
from groovae.generation.base_model import BaseModel
from groovae.generation.grooves import (
    drum_notes,
    make_groove_like,
    to_notes,
)
from groovae.generation.magenta_names import accept_magenta_names
from groovae.generation.sampling import MAX_OUTPUTS, Style
from groovae.generation.segments import (
    add_bars,
    added_pitches,
    compare_grooves,
    nonempty,
    split_groove,
    tap_layout,
    trim_to_shorter,
)
from groovae.generation.steering import blend_with_taps, make_steering
from groovae.model import latent
from groovae.music.midi_writer import MAX_BARS
from groovae.music.tempo import DEFAULT_QPM
from groovae.system.log import no_log


class GrooveModel(BaseModel):
    """A trained GrooVAE model; `loading.load_model` returns one. See `BaseModel` for attributes."""

    # Latents

    @accept_magenta_names
    def sample(
        self,
        num_outputs: int = 1,
        bars: int = 4,
        temperature: float = 0.5,
        tempo_qpm: float = 120.0,
        drift: float = 0.5,
        prior: str | None = None,
        style: Style | None = None,
        density: float | None = None,
        like: Any = None,
    ) -> list[Any]:
        """Sample grooves: decode a `z` drawn from the prior.

        A groove longer than the model's window has several segments, each with a `z` from the prior
        that correlates with its neighbours (see `latent.chain` and `Prior.chain`).

        Args:
          num_outputs: The number of grooves, 1 to 1,000,000.
          bars: Their length in bars, 1 or more.
          temperature: 0 or more; see the module docstring.
          tempo_qpm: Their tempo in quarter notes per minute.
          drift: The change between segments: 0 repeats the same `z`, 1 draws an independent one.
          prior: `fitted`, the prior fitted to the model's training windows (see `model/prior.py`),
            or `standard`, N(0, I) as in Magenta; by default the fitted one if the model has one.
          style: A musical style of the fitted prior, or a mix such as `funk:0.7,jazz:0.3` or a
            dict; `fitted_prior.shares()` lists them.
          density: Hits a bar, as a quantile of the training windows, from 0, few, to 1, many.
          like: A groove; the samples drift away from its last segment, as a segment does from the
            one before.

        Returns:
          NoteSequences. Another call continues the random draws and returns other grooves.

        Raises:
          UsageError: an argument is out of range, there is no such prior or style, or the model
            plays given hits only.
        """
        tensors = self.sample_tensors(
            num_outputs, bars, temperature, drift, prior, style, density, like
        )
        return [self._groove(tensor, bars, tempo_qpm) for tensor in tensors]

    def sample_tensors(
        self,
        num_outputs: int = 1,
        bars: int = 4,
        temperature: float = 0.5,
        drift: float = 0.5,
        prior: str | None = None,
        style: Style | None = None,
        density: float | None = None,
        like: Any = None,
    ) -> np.ndarray:
        """Return the grooves of `sample` as float32 [num_outputs, steps_per_bar * bars, 27]."""
        self._check_task("sample")
        start = None if like is None else self._last_latent(like, style)
        tensors = self._sampler.sample(
            self._random, num_outputs, bars, temperature, drift, prior, style, density, start
        )
        return self._with_feel(tensors, "sample")

    def _last_latent(self, groove: Any, style: Style | None = None) -> np.ndarray:
        """Return the latent mean of the last segment that has hits, [z_size]."""
        self._check_task("continue")
        if style is not None:
            raise UsageError("a style and a groove to be like contradict each other; give one")
        segments = self.split(groove)
        return self._encode(segments)[0][nonempty(segments)[-1]]

    def encode(self, groove: Any) -> np.ndarray:
        """Return the latent means `mu` of a groove, float32 [segments, z_size]."""
        return self._encode(self.split(groove))[0]

    @accept_magenta_names
    def decode(
        self,
        z: np.ndarray,
        bars: int | None = None,
        temperature: float = 0.5,
        tempo_qpm: float = 120.0,
    ) -> list[Any]:
        """Decode each latent to a groove; see `sample`.

        Args:
          z: [n, z_size].
          bars: Their length, by default that of the model's windows. A model is not trained to
            decode longer ones.
          temperature: 0 or more; see the module docstring.
          tempo_qpm: Their tempo in quarter notes per minute.
        """
        bars = self.layout.split_bars if bars is None else bars
        tensors = self.decode_to_tensors(z, bars, temperature)
        return [self._groove(tensor, bars, tempo_qpm) for tensor in tensors]

    def decode_to_tensors(self, z: np.ndarray, bars: int, temperature: float) -> np.ndarray:
        """Decode `z` [n, z_size] to float32 [n, steps_per_bar * bars, 27], as of grid.py."""
        self._check_task("sample")
        check_whole("bars", bars, 1, MAX_BARS)
        if z.ndim != 2 or not len(z) or z.shape[1] != self._z_size:
            raise UsageError(f"z must have the shape [n, {self._z_size}], got {list(z.shape)}")
        tensors = self._decode(z, self._thresholds(len(z), bars, temperature))
        return self._with_feel(tensors, "decode")

    def split(self, groove: Any) -> Segments:
        """Split a groove into segments of the model's length; see `grid.to_segments`.

        Raises:
          GroovaeError: it has no drums, or cannot be cut into bars.
        """
        return split_groove(self._read(groove), self.layout, self.log)

    def compare(self, reference: Any, estimate: Any) -> dict[str, float]:
        """Return the scores of a groove against a reference, on the model's grid.

        See `metrics.scores`. The shorter of the two is padded with silence. Times in ms use the
        tempo of the reference at their bar.
        """
        reference, estimate = self._read(reference), self._read(estimate)
        return compare_grooves(reference, estimate, self.layout)

    def predict_windows(
        self,
        windows: np.ndarray,
        feel: np.ndarray | None = None,
        tempo_qpm: np.ndarray | float = DEFAULT_QPM,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the most likely output for windows in the task that the model was trained for.

        The encoder gets the same input as in training, and hits that the model does not predict are
        given. A model of whole grooves reconstructs.

        Args:
          windows: float32 [n, steps, depth], of the model's window length.
          feel: Windows of the same shape to encode, of which those of `transfer` have the timing
            and dynamics; by default `windows`.
          tempo_qpm: The tempo of each window, [n], or of all; some models are given it.

        Returns:
          The output, float32 [n, steps, depth], and `mu` and `sigma`, [n, z_size].
        """
        encoded = windows if feel is None else feel
        mu, sigma = self._network.encode(
            to_inputs(encoded, self.layout), to_controls(encoded, self.layout, tempo_qpm)
        )
        thresholds = np.where(
            predicted_drums(self.layout),
            self._hit_threshold,
            latent.forced_hit_thresholds(windows[..., : self.layout.num_drums]),
        )
        controls = to_controls(windows, self.layout, tempo_qpm)
        return self._decode(mu, thresholds, controls, task_of(self.layout)), mu, sigma

    # Whole grooves

    def reconstruct(self, groove: Any, temperature: float = 0.0) -> Any:
        """Encode a groove and decode it."""
        self._check_task("reconstruct")
        segments = self.split(groove)
        thresholds = self._sample_thresholds(segments, temperature)
        return self._decode_groove(segments, self._encode(segments)[0], thresholds, "reconstruct")

    def interpolate(
        self, start: Any, end: Any, num_steps: int = 5, temperature: float = 0.0
    ) -> list[Any]:
        """Interpolate between the latents of two grooves, by `latent.slerp`.

        The first and last outputs are the reconstructions of both. All have the length of the
        shorter groove and the tempo of the first, and share their random numbers, so that only `z`
        differs.

        Args:
          start: The first groove.
          end: The last groove.
          num_steps: The number of grooves, both ends included, 2 or more.
          temperature: 0 or more; see the module docstring.
        """
        check_whole("num_steps", num_steps, 2, MAX_OUTPUTS)
        self._check_task("interpolate")
        first, last = trim_to_shorter(self.split(start), self.split(end), self.layout, self.log)
        first_z, last_z = self._encode(first)[0], self._encode(last)[0]
        thresholds = self._sample_thresholds(first, temperature)
        # The outputs of a step decide which of its segments stay empty, its notes the pitches.
        last = last._replace(tempo_qpm=first.tempo_qpm, timeline=first.timeline)
        between = first._replace(outputs=np.maximum(first.outputs, last.outputs))
        steps = [first, *[between] * (num_steps - 2), last]
        z = [latent.slerp(first_z, last_z, share) for share in np.linspace(0, 1, num_steps)]
        return self._decode_grooves(steps, z, thresholds, "interpolate")

    def vary(
        self,
        groove: Any,
        amount: float = 0.3,
        num_outputs: int = 1,
        temperature: float = 0.0,
        more: str | None = None,
        less: str | None = None,
    ) -> list[Any]:
        """Return variations of a groove: neighbours in latent space, by `latent.step_away`.

        Args:
          groove: The groove to vary. All its segments move in the same direction, so that
            repetitions in the groove are repetitions in its variation.
          amount: The distance, from 0, the reconstruction, to 1, an unrelated groove.
          num_outputs: The number of variations, each in another direction.
          temperature: 0 or more; see the module docstring.
          more: `density` or `syncopation`: move in the direction of the fitted prior to more of it,
            by `amount` times the distance from the quarter of the training windows with the least
            to that with the most.
          less: The same, to less of it.
        """
        check_whole("num_outputs", num_outputs, 1, MAX_OUTPUTS)
        check_number("amount", amount, 0, 1)
        self._check_task("vary")
        towards = self._sampler.direction(more, less)
        segments = self.split(groove)
        mu, _ = self._encode(segments)
        thresholds = self._sample_thresholds(segments, temperature)
        noises = self._random.randn(num_outputs, self._z_size)
        if towards is None:
            z = [latent.step_away(mu, noise, amount) for noise in noises]
        else:  # with little noise, by which several variations differ
            moved = mu + amount * towards
            z = [latent.step_away(moved, noise, 0.1 * amount) for noise in noises]
        return self._decode_grooves([segments] * num_outputs, z, thresholds, "vary")

    def infill(
        self,
        groove: Any,
        bars: tuple[int, int] | None = None,
        drums: Iterable[str | int] | None = None,
        temperature: float = 0.5,
    ) -> Any:
        """Generate some bars or drums of a groove anew, to fit the rest, which is kept unchanged.

        Args:
          groove: The groove. A hit belongs to the bar of its nearest 16th.
          bars: The first and the last bar to generate, from 1; all by default.
          drums: The drums to generate, such as `["hihat", "ride"]`; all by default. See
            `drums.find_drums`.
          temperature: 0 or more, of the hits and of the latents; see the module docstring.

        Raises:
          UsageError: there are no such bars or drums, or nothing with a hit would be kept.
        """
        self._check_task("infill")
        segments = self._split_all(self._read(groove))
        hidden = infilling.hidden_cells(segments, self.layout, bars, drums)
        sampled = self._sample_thresholds(segments, temperature)
        outputs = self.infiller.infill(self._random, segments, hidden, sampled, temperature)
        return self._replace_hidden(segments, hidden, outputs, "infill")

    def extend(
        self, groove: Any, bars: int = 4, temperature: float = 0.5, drift: float = 0.5
    ) -> Any:
        """Continue a groove by some bars, in its tempo and meter; its own hits stay unchanged.

        Args:
          groove: The groove.
          bars: How many to add.
          temperature: 0 or more, of the hits and of the latents; see the module docstring.
          drift: The change between segments; see `sample`.
        """
        check_whole("bars", bars, 1, MAX_BARS)
        check_number("drift", drift, 0, 1)
        self._check_task("continue")
        longer = add_bars(self._read(groove), self.layout, bars)
        segments = split_groove(longer, self.layout, no_log, keeps_notes=True)  # empty bars and all
        hidden = infilling.last_bars(segments, bars, self.layout)
        sampled = self._sample_thresholds(segments, temperature)
        outputs = self.infiller.extend(self._random, segments, hidden, sampled, temperature, drift)
        return self._replace_hidden(segments, hidden, outputs, "continue")

    def fill(self, groove: Any, every: int = 4, temperature: float = 0.5) -> Any:
        """Replace each `every`-th bar by a drum fill; all other hits stay unchanged.

        Args:
          groove: The groove, of `every` bars or more.
          every: 2 or more.
          temperature: 0 or more, of the hits and of the latents; see the module docstring.

        Raises:
          UsageError: the fitted prior of the model does not know fills.
        """
        check_whole("every", every, 2)
        self._check_task("fill")
        segments = self._split_all(self._read(groove))
        bars = infilling.every_bar(segments, every, self.layout)
        sampled = self._sample_thresholds(segments, temperature)
        outputs, hidden = self.infiller.fills(self._random, segments, bars, sampled, temperature)
        return self._replace_hidden(segments, hidden, outputs, "fill")

    def _replace_hidden(
        self, segments: Segments, hidden: np.ndarray, outputs: np.ndarray, task: str
    ) -> Any:
        """Return the groove with the hits of outputs in hidden cells, with the feel of a task."""
        played = self._with_feel(outputs.reshape(1, -1, self.layout.depth), task)
        return infilling.replace_hidden(
            segments, hidden, played.reshape(outputs.shape), self.layout
        )

    # Tasks with models of their own

    def humanize(
        self,
        groove: Any,
        temperature: float = 0.5,
        amount: float = 1.0,
        timing_amount: float | None = None,
        velocity_amount: float | None = None,
        keep: str | None = None,
        push_ms: float = 0.0,
    ) -> Any:
        """Replace the timing and velocities of a quantized beat by a drummer's; keep its hits.

        Args:
          groove: The beat.
          temperature: 0 or more; see the module docstring.
          amount: From 0, the beat note for note, to 1, the drummer's.
          timing_amount: The same for timing alone, by default `amount`.
          velocity_amount: The same for velocities alone, by default `amount`.
          keep: `timing`, `velocity`, or `accents`, the order of the velocities of each drum.
          push_ms: How far all hits move ahead of the beat, behind it if negative: the score does
            not say how far ahead a drummer plays.
        """
        amounts = amount, timing_amount, velocity_amount, keep
        steering = make_steering(*amounts, keeps_swing=True, push_ms=push_ms)
        self._check_task("humanize")
        segments = self._split_all(self._read(groove))
        return self._apply_performance(segments, *self._encode(segments), temperature, steering)

    def transfer(
        self,
        groove: Any,
        beat: Any,
        temperature: float = 0.0,
        amount: float = 1.0,
        timing_amount: float | None = None,
        velocity_amount: float | None = None,
        keep: str | None = None,
        push_ms: float = 0.0,
    ) -> Any:
        """Play the hits of `beat` with the timing and dynamics of `groove`; see `humanize`.

        The segments of `groove` that have hits are applied to those of `beat` in turn.
        """
        amounts = amount, timing_amount, velocity_amount, keep
        steering = make_steering(*amounts, push_ms=push_ms)
        self._check_task("transfer")
        source, segments = self.split(groove), self._split_all(self._read(beat))
        mu, sigma = self._encode(source)
        turns = np.resize(nonempty(source), len(segments.outputs))
        return self._apply_performance(segments, mu[turns], sigma[turns], temperature, steering)

    def tap2drum(self, taps: Any, temperature: float = 0.5, velocity_amount: float = 1.0) -> Any:
        """Generate a beat on the whole kit from a tapped rhythm.

        Each drum note is a tap, or each note if there are no drums. Their velocities are ignored,
        unless `velocity_amount` is below 1; see `steering.blend_with_taps`.
        """
        check_number("velocity_amount", velocity_amount, 0, 1)
        self._check_task("tap2drum")
        taps = self._read(taps)
        segments = self._split_all(taps, tap_layout(self.layout, taps))
        thresholds = self._sample_thresholds(segments, temperature)
        mu, _ = self._encode(segments)
        tensors = self._decode_segments(segments, mu, thresholds, "tap2drum")
        tensors = blend_with_taps(tensors, segments.outputs, velocity_amount)
        return make_groove_like(segments, to_notes(segments, tensors, self.layout))

    def add_hihat(self, groove: Any, temperature: float = 0.5) -> Any:
        """Generate a closed hi-hat for a groove, in place of its own; keep the other drums.

        Other instruments in the class of the closed hi-hat, such as a tambourine, are kept as well.
        A model of one's own config may add other drums.
        """
        self._check_task("add_hihat")
        segments = self._split_all(self._read(groove))
        thresholds = latent.forced_hit_thresholds(self._hits(segments))
        sampled = self._sample_thresholds(segments, temperature)
        added = list(self.layout.add_instruments)
        thresholds[..., added] = sampled[..., added]
        mu, _ = self._encode(segments)
        tensors = self._decode_segments(segments, mu, thresholds, "add_hihat")
        pitches = {self.layout.pitch_classes[drum][0] for drum in added}
        own = added_pitches(self.layout)
        drums = drum_notes(segments)
        others = [note for note, cell in drums if cell < 0 or note.pitch not in own]
        if len(others) < len(drums):
            self.log(f"{len(drums) - len(others):,} hits of its own hi-hat are replaced")
        made = to_notes(segments, tensors, self.layout)
        generated = [note for note in made if note.pitch in pitches]
        return make_groove_like(segments, [*others, *generated])
