"""groovae fit_prior: fit a prior to a trained model, to sample from.

Usage: groovae fit_prior --checkpoint=MODEL [--examples_path=RECORDS] [--flags]

Encodes windows of the records that the model was trained on, fits a mixture of Gaussians to their
latents, for each musical style apart, and writes it as prior.safetensors in the folder of the
checkpoint or of the ONNX export. From then on `groovae sample` draws z from it, and its --style
selects a style. `groovae train` does this at its end; this command is for models without a prior,
such as Google's. The prior of a .tar is written to the cache that the .tar is unpacked to. Prints
the file name.

Styles are read from file names such as 1_funk_80_beat_4-4.mid, or from the info.csv of --groove.
What `groovae fill` needs is found if there are names such as 2_funk_80_fill_4-4.mid.

Examples:
  groovae fit_prior --checkpoint=.train/best --examples_path=data_dir/music-train.tfrecord
  groovae fit_prior --checkpoint=drums.onnx --examples_path=data_dir/music-train.tfrecord
  groovae fit_prior --checkpoint=data_dir/checkpoints/groovae_4bar.tar --groove=data_dir/groove"""

from typing import Any

from absl import flags

from groovae.cli.fitting import define_fitting, find_fills_from_flags, load_from_flags
from groovae.cli.output import log, print_text


def define_flags(values: flags.FlagValues) -> None:
    define_fitting(values, "data_dir/music.tfrecord")
    flags.DEFINE_string(
        "groove",
        None,
        "Folder of the Groove MIDI Dataset, whose info.csv has the style of each recording.",
        values,
    )


def run(values: Any, positional: list[str]) -> None:
    from groovae.generation.fitting import fit_prior
    from groovae.generation.networks import prior_path

    network, windows = load_from_flags(values, positional, log)
    fit_prior(network, windows, values.groove, log, find_fills_from_flags(values, network))
    print_text(str(prior_path(network)))
