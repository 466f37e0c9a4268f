"""groovae export: a trained model as files that other programs play.

Usage: groovae export --format=onnx|magentajs --out=DIR [--flags]

onnx: encoder.onnx, decoder.onnx, decoder_start.onnx and decoder_step.onnx, for onnxruntime and
other runtimes, and config.json with all that they need to know. Noise is an input, so that a
seed gives the same groove again and a temperature of 0 leaves nothing to chance. They are compared
with TensorFlow on the windows of --examples_path, or else on random ones and such as the model
draws, and only written where they play the same. Needs `pip install onnx onnxruntime`.

magentajs: config.json, weights_manifest.json and the weights for the npm package @magenta/music,
and a page that plays them; see `groovae serve`.

--dtype makes the files smaller: onnx has float16 and int8, magentajs float16, uint16 and uint8.
Only weights are stored so. With onnx, what that costs in hits, velocities, timing and sigma is
measured and told.

A folder that is there already is replaced if it is an earlier export, and otherwise left alone.

Examples:
  groovae export --format=onnx --out=drums.onnx
  groovae export --out=small.onnx --dtype=int8 --examples_path=data_dir/music-validation.tfrecord
  groovae export --format=magentajs --out=web --dtype=float16"""

from typing import Any

from absl import flags

from groovae.cli.flags import define_checkpoint, need_arguments
from groovae.cli.output import log
from groovae.errors import UsageError
from groovae.export import DTYPES

# The flags that one format alone has.
OWN = {"examples_path": "onnx", "magenta_js": "magentajs"}


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_enum("format", "onnx", list(DTYPES), "Who shall play it.", flag_values=values)
    flags.DEFINE_string("out", None, "The folder to write.", flag_values=values)
    flags.DEFINE_enum(
        "dtype",
        "float32",
        sorted({dtype for dtypes in DTYPES.values() for dtype in dtypes}),
        "How weights are stored.",
        flag_values=values,
    )
    define_checkpoint(values)
    flags.DEFINE_string(
        "examples_path",
        None,
        "onnx: records of windows to compare on, a TFRecord of NoteSequences.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "magenta_js",
        None,
        "magentajs: a copy of @magenta/music's dist/magentamusic.js for the page, so that it needs "
        "no network.",
        flag_values=values,
    )


def run(values: Any, positional: list[str]) -> None:
    need_arguments(positional)
    _check_flags(values)
    common = (values.checkpoint, values.out, values.config, values.hparams, values.dtype, log)
    if values.format == "onnx":
        from groovae.export import onnx

        onnx.export(*common, examples_path=values.examples_path)
    else:
        from groovae.export import magentajs

        magentajs.export(*common, magenta_js=values.magenta_js)
    print(values.out)


def _check_flags(values: Any) -> None:
    if not values.out:
        raise UsageError("--out is missing: name the folder to write")
    if values.dtype not in DTYPES[values.format]:
        raise UsageError(
            f"--format={values.format} has no --dtype={values.dtype}; take one of "
            f"{', '.join(DTYPES[values.format])}"
        )
    for flag, format_of_it in OWN.items():
        if values[flag].present and values.format != format_of_it:
            raise UsageError(f"--{flag} belongs to --format={format_of_it}")
