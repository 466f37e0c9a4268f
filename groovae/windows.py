"""NoteSequence records to training windows: the tensors that the model sees.

A window is `split_bars` bars of drums: a float32 array [steps, 27] of hits (0 or 1), velocities
(0 to 1) and offsets (-1 to 1, in half 16ths ahead of the grid), nine drum classes each. Magenta's
GrooveConverter makes it. It gives zero windows, without a word, for a sequence that is not in 4/4,
changes its tempo or is too short, and it crashes on a pitch without a class; here each
sequence is accounted for, and only drum notes that have a class are handed to it.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from google.protobuf.message import DecodeError

from groovae.errors import GroovaeError, first_line
from groovae.upstream import magenta_data, note_seq, read_records, tf, unbatch


class Windows(NamedTuple):
    """The n windows of one sequence: [n, steps, depth] each; most configs have no controls."""

    inputs: np.ndarray
    outputs: np.ndarray
    controls: np.ndarray


@dataclasses.dataclass
class Report:
    """How many windows a set of records gives, and what was lost on the way.

    Attributes:
      sequences: Records read.
      used: Records that give at least one window.
      windows: Windows in all.
      unused: How many records give none, by reason.
      dropped_notes: Notes that no drum class holds, by reason.
    """

    sequences: int = 0
    used: int = 0
    windows: int = 0
    unused: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    dropped_notes: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    def __str__(self) -> str:
        parts = [f"{self.windows:,} windows from {self.used:,} of {self.sequences:,} sequences"]
        if self.unused:
            parts.append(f"no window from {_listed(self.unused)}")
        if self.dropped_notes:
            parts.append(f"notes left out: {_listed(self.dropped_notes)}")
        return "; ".join(parts)


def read_sequences(examples_path: str) -> Iterator[Any]:
    """Yields the NoteSequences of TFRecord files.

    Args:
      examples_path: A file, or a glob of files, which are read in sorted order.

    Raises:
      GroovaeError: no file matches, or one is damaged or holds something else.
    """
    # A file's own name comes first: `take[1].tfrecord`, as a glob, would not match itself.
    exists = tf.gfile.Exists(examples_path)
    files = [examples_path] if exists else sorted(tf.gfile.Glob(examples_path))
    if not files:
        raise GroovaeError(
            f"{examples_path}: no such file; make it with `groovae preprocess DIR {examples_path}`"
        )
    for file in files:
        count = 0
        try:
            for record in read_records(file):
                yield _parse(record)
                count += 1
        except (tf.errors.OpError, DecodeError) as error:
            raise GroovaeError(
                f"{file}: damaged after record {count:,}, or not a TFRecord of NoteSequences "
                f"({first_line(error)}); make it again with `groovae preprocess`"
            ) from error


def load_windows(examples_path: str, converter: Any, report: Report) -> Iterator[Windows]:
    """Yields the windows of each record that gives any, and accounts for all in `report`."""
    converter.set_mode("train")
    for sequence in read_sequences(examples_path):
        windows = convert(sequence, converter, report)
        if len(windows.inputs):
            yield windows


def convert(sequence: Any, converter: Any, report: Report) -> Windows:
    """The windows of one NoteSequence by Magenta's converter, accounted for in `report`."""
    drums = _known_drums(sequence, converter.pitch_class_map, report)
    countable = _is_countable(drums)
    tensors = converter.to_tensors(drums) if countable else magenta_data.ConverterTensors()
    report.sequences += 1
    report.used += bool(tensors.inputs)
    report.windows += len(tensors.inputs)
    if not tensors.inputs:
        report.unused[_why_no_window(drums, converter)] += 1
    return Windows(
        magenta_data._maybe_pad_seqs(tensors.inputs, np.float32, converter.input_depth),
        magenta_data._maybe_pad_seqs(tensors.outputs, np.float32, converter.output_depth),
        magenta_data._maybe_pad_seqs(tensors.controls, np.float32, converter.control_depth),
    )


def training_dataset(
    load: Callable[[], Iterable[Windows]],
    converter: Any,
    batch_size: int,
    shuffle_size: int,
    seed: int | None = None,
) -> Any:
    """An endless tf.data.Dataset of shuffled batches, as Magenta's `data.get_dataset` gives it.

    Args:
      load: Gives the windows of an epoch, sequence by sequence; called anew for each epoch.
      converter: The config's data converter, for the depths of the tensors.
      batch_size: Windows in a batch; a last partial batch is carried into the next epoch.
      shuffle_size: Windows to shuffle among; all of them for an exact shuffle.
      seed: For the order of the windows.

    Returns:
      A dataset of (inputs, outputs, controls, lengths), float32 [batch_size, steps, depth] each and
      int32 [batch_size]. The windows live in this process, never in the graph, which every event
      file carries along.
    """
    depths = (converter.input_depth, converter.output_depth, converter.control_depth)

    def sequences() -> Iterator[tuple[np.ndarray, ...]]:
        for windows in load():
            count, steps = windows.inputs.shape[:2]
            yield (*windows, np.full(count, steps, np.int32))

    dataset = tf.data.Dataset.from_generator(
        sequences,
        output_types=(tf.float32, tf.float32, tf.float32, tf.int32),
        output_shapes=(*((None, None, depth) for depth in depths), (None,)),
    )
    dataset = unbatch(dataset).shuffle(shuffle_size, seed=seed).repeat()
    return dataset.batch(batch_size, drop_remainder=True).prefetch(tf.data.AUTOTUNE)


def _listed(counts: collections.Counter[str], at_most: int = 5) -> str:
    """`684 shorter than 4 bars, 12 not in 4/4`; the rest, if there are many, in one number."""
    listed = [f"{count:,} {what}" for what, count in counts.most_common(at_most)]
    others = counts.total() - sum(count for _, count in counts.most_common(at_most))
    return ", ".join([*listed, f"{others:,} others"] if others else listed)


def _parse(record: bytes) -> Any:
    sequence = note_seq.NoteSequence.FromString(record)
    # Other messages parse too: a tf.train.Example is taken for an id, most are of no known field.
    if record and {field.name for field, _ in sequence.ListFields()} <= {"id", "filename"}:
        raise DecodeError("it holds no music")
    return sequence


def _known_drums(sequence: Any, pitch_class_map: dict[int, int], report: Report) -> Any:
    """The sequence with only those drum notes that the converter has a class for."""
    if all(note.is_drum and note.pitch in pitch_class_map for note in sequence.notes):
        return sequence
    known = note_seq.NoteSequence()
    known.CopyFrom(sequence)
    del known.notes[:]
    for note in sequence.notes:
        if not note.is_drum:
            report.dropped_notes["not drums"] += 1
        elif note.pitch not in pitch_class_map:
            report.dropped_notes[f"of pitch {note.pitch}, which no drum class holds"] += 1
        else:
            known.notes.append(note)
    return known


def _is_countable(sequence: Any) -> bool:
    """Whether tempo and times are numbers to divide by and to round: the converter dies of others.

    A tempo of 0 is what a NoteSequence has if nothing was written into its tempo.
    """
    events = [*sequence.control_changes, *sequence.text_annotations]
    times = [sequence.total_time, *(event.time for event in events)]
    times += [time for note in sequence.notes for time in (note.start_time, note.end_time)]
    return all(0 < tempo.qpm < math.inf for tempo in sequence.tempos) and all(
        map(math.isfinite, times)
    )


def _why_no_window(sequence: Any, converter: Any) -> str:
    """The rule that cost a sequence its windows, in the order in which GrooveConverter asks."""
    if not _is_countable(sequence):
        return "with an impossible tempo or time"
    try:
        quantized = note_seq.quantize_note_sequence(sequence, converter._steps_per_quarter)
        steps_per_bar = note_seq.steps_per_bar_in_quantized_sequence(quantized)
    except note_seq.MultipleTempoError:
        return "with tempo changes"
    except note_seq.MultipleTimeSignatureError:
        return "with meter changes"
    except note_seq.NegativeTimeError:
        return "with notes at negative times"
    except (note_seq.BadTimeSignatureError, note_seq.NonIntegerStepsPerBarError):
        return "not in 4/4"
    if steps_per_bar != converter._steps_per_bar:
        return "not in 4/4"
    if not sequence.notes:
        return "without drum notes"
    return f"shorter than {converter._split_bars} bars"
