"""groovae import: rebuild the TensorFlow checkpoint of an ONNX export.

Usage: groovae import EXPORT TRAIN_DIR

Writes the checkpoint that was exported, with its config.json, prior and feel, to a new folder. It
can be fine-tuned (`groovae train --init_checkpoint`), evaluated with its losses, and exported
again, also to magenta.js. EXPORT is a folder written by `groovae export --format=onnx`, or the name
of a bundled model. Weights that were stored as float16 or int8 become float32. The checkpoint is
compared with the export before it is written. Needs `pip install onnx`. Prints the folder.

Examples:
  groovae import groovae_4bar runs/bundled
  groovae import groovae_2bar_humanize_hits runs/humanize
  groovae import drums.onnx runs/drums"""

from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments
from groovae.cli.output import log, print_text


def define_flags(values: flags.FlagValues) -> None:
    """Define no flags: the export describes itself."""


def run(values: Any, positional: list[str]) -> None:
    export, train_dir = check_arguments(positional, "EXPORT", "TRAIN_DIR")
    from groovae.export.onnx_import import import_export

    import_export(export, train_dir, log)
    print_text(train_dir)
