"""A complete run in a minute, without a network: data, preprocessing, training, samples.

groovae demo
"""

import dataclasses
import os
import signal
from collections.abc import Callable
from pathlib import Path

from groovae.data.patterns import write_dataset
from groovae.data.preprocess import convert_directory
from groovae.generation.loading import load_model
from groovae.music.midi_writer import numbered, write_sequence
from groovae.system.atomic_files import refuse_links
from groovae.system.log import Log
from groovae.training.train import Progress, TrainOptions, train

# For half a minute on two cores. The patterns are few and regular, so no dropout is needed, and a
# high learning rate that decays fast needs hundreds of steps instead of thousands as on the Groove
# MIDI Dataset. The small z and high KL weight keep the posterior close to the prior, so that
# samples from the prior resemble the data.
HPARAMS = (
    "batch_size=32,enc_rnn_size=[64],dec_rnn_size=[192],z_size=16,free_bits=0,max_beta=0.5,"
    "dropout_keep_prob=1.0,learning_rate=0.01,decay_rate=0.993"
)
NUM_GROOVES = 4
TEMPO_QPM = 110.0


@dataclasses.dataclass(frozen=True)
class Demo:
    """The result of a demo.

    Attributes:
      grooves: MIDI files of the sampled grooves.
      stopped_by: The signal that stopped the training; then there are no grooves.
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
    """Write the bundled patterns as MIDI, preprocess them, train a model and sample from it.

    Args:
      directory: Folder to write; a second run in it resumes the training.
      num_steps: Training steps.
      temperature: Sampling temperature of the grooves.
      seed: Random seed of the training and the grooves.
      log: Called with each line for the user.
      on_step: Called with the progress of each training step.

    Raises:
      GroovaeError: One of the functions it calls fails.
    """
    directory = Path(directory).expanduser()
    # Named so that a dataset in the same folder is not overwritten.
    midi_dir, records = directory / "demo_midi", directory / "demo.tfrecord"
    train_dir = directory / "demo_train"
    refuse_links(directory, midi_dir.name, train_dir.name)
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
        write_sequence(path, groove, follow_links=False)
    log(f"4. sample: {NUM_GROOVES} grooves of 4 bars at {TEMPO_QPM:g} bpm")
    return Demo(paths)
