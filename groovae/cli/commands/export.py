"""groovae export: export a trained model to ONNX or magenta.js.

Usage: groovae export --format=onnx|magentajs --out=DIR [--flags]

onnx: writes encoder.onnx, decoder.onnx, decoder_start.onnx and decoder_step.onnx, for onnxruntime
and other runtimes, and config.json, which describes their inputs and outputs. Noise is an input: a
seed reproduces a groove, and temperature 0 is deterministic. The graphs are verified against
TensorFlow before they are written, on the windows of --examples_path, or else on random and sampled
ones. A fitted prior of the checkpoint is copied. Needs `pip install onnx onnxruntime`.

magentajs: writes config.json, weights_manifest.json and the weights for the npm package
@magenta/music, and a page that plays them; see `groovae serve`.

--dtype stores the weights in less space: float16 or int8 for onnx, float16, uint16 or uint8 for
magentajs. For onnx the change in hits, velocities, timing and sigma is measured and logged.

An existing folder is replaced only if it is an earlier export.

Examples:
  groovae export --format=onnx --out=drums.onnx
  groovae export --out=small.onnx --dtype=int8 --examples_path=data_dir/music-validation.tfrecord
  groovae export --format=magentajs --out=web --dtype=float16"""

from typing import Any

from absl import flags

from groovae.cli.flags import check_arguments, define_checkpoint
from groovae.cli.output import log, print_text
from groovae.errors import UsageError
from groovae.export.formats import DTYPES, check_dtype

FORMAT_OF_FLAG = {"examples_path": "onnx", "magenta_js": "magentajs"}


def define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_enum("format", "onnx", list(DTYPES), "Target runtime.", values)
    flags.DEFINE_string("out", None, "Folder to write.", values)
    flags.DEFINE_enum(
        "dtype",
        "float32",
        sorted({dtype for dtypes in DTYPES.values() for dtype in dtypes}),
        "Data type of the stored weights.",
        values,
    )
    define_checkpoint(values)
    flags.DEFINE_string(
        "examples_path",
        None,
        "onnx: a TFRecord of NoteSequences, whose windows the export is verified on.",
        values,
    )
    flags.DEFINE_string(
        "magenta_js",
        None,
        "magentajs: a copy of dist/magentamusic.js of @magenta/music, so that the page needs no "
        "network.",
        values,
    )


def run(values: Any, positional: list[str]) -> None:
    check_arguments(positional)
    _check_flags(values)
    common = (values.checkpoint, values.out, values.config, values.hparams, values.dtype, log)
    if values.format == "onnx":
        from groovae.export import onnx

        onnx.export(*common, examples_path=values.examples_path)
    else:
        from groovae.export import magentajs

        magentajs.export(*common, magenta_js=values.magenta_js)
    print_text(values.out)


def _check_flags(values: Any) -> None:
    if not values.out:
        raise UsageError("--out is missing: name the folder to write")
    check_dtype(values.format, values.dtype)
    for flag, its_format in FORMAT_OF_FLAG.items():
        if values[flag].present and values.format != its_format:
            raise UsageError(f"--{flag} needs --format={its_format}")
