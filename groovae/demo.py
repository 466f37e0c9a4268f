"""All of groovae in minutes, without a network: the embedded patterns become MIDI files, records, a
small model, and grooves that this model drew.

    groovae demo
"""

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path

from groovae.data.patterns import write_dataset
from groovae.data.preprocess import convert_directory
from groovae.generation.groove_model import load_model
from groovae.music.midi_writer import numbered, write_sequence
from groovae.system.log import Log
from groovae.training.train import Progress, TrainOptions, train

# What two cores learn in half a minute. The patterns are few and clean, so nothing is dropped out,
# and a high learning rate that falls fast does in hundreds of steps what takes thousands on GMD. A
# small z that costs much keeps what is drawn from the prior where the model has learned something.
HPARAMS = (
    "batch_size=32,enc_rnn_size=[64],dec_rnn_size=[192],z_size=16,free_bits=0,max_beta=0.5,"
    "dropout_keep_prob=1.0,learning_rate=0.01,decay_rate=0.993"
)
NUM_GROOVES = 4
TEMPO_QPM = 110.0


@dataclasses.dataclass(frozen=True)
class Demo:
    """What the demo leaves in its folder.

    Attributes:
      grooves: The MIDI files that the model drew.
      stopped_by: The signal that stopped the training before its end; then there are no grooves.
    """

    grooves: list[Path]
    stopped_by: signal.Signals | None = None


def run_demo(
    directory: str | os.PathLike[str],
    num_steps: int,
    temperature: float,
    seed: int,
    log: Log,
    on_step: Callable[[Progress], None],
) -> Demo:
    """Writes the embedded data, preprocesses it, trains, and draws grooves, all below `directory`.

    A second run goes on from what is there.

    Raises:
      GroovaeError: a part fails, for what its own function says.
    """
    directory = Path(directory).expanduser()
    # Names that no data set of the user's has, should the folder hold one.
    midi_dir, records = directory / "demo_midi", directory / "demo.tfrecord"
    train_dir = directory / "demo_train"
    files = write_dataset(midi_dir)
    log(f"1. data: {len(files)} drum performances as MIDI in {midi_dir}")
    report = convert_directory(midi_dir, records)
    log(f"2. preprocess: {report.records} NoteSequences in {records}")
    log("3. train: a small groovae_4bar")
    result = train(
        TrainOptions(
            train_dir=str(train_dir),
            examples_path=str(records),
            hparams=HPARAMS,
            num_steps=num_steps,
            seed=seed,
        ),
        log,
        on_step,
    )
    if result.stopped_by:
        return Demo([], result.stopped_by)
    model = load_model(train_dir, seed=seed, batch_size=NUM_GROOVES)
    grooves = model.sample(NUM_GROOVES, temperature=temperature, tempo_qpm=TEMPO_QPM)
    paths = numbered(directory / "demo_groove.mid", NUM_GROOVES)
    for path, groove in zip(paths, grooves, strict=True):
        write_sequence(path, groove)
    log(f"4. sample: {NUM_GROOVES} grooves of 4 bars at {TEMPO_QPM:g} bpm")
    return Demo(paths)
