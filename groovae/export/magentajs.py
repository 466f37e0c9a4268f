"""Export a trained model for magenta.js, with a web page that plays it.

    groovae export --format=magentajs --out=web
    groovae serve web

The folder holds the page, and the `config.json`, `weights_manifest.json` and weight shards that
`new mm.MusicVAE(url)` of the npm package @magenta/music loads. Facts about that format, from the
source of @magenta/music 1.23.1:

- Variables keep their checkpoint names, shapes and memory layout.
- The pitches of the drum classes are always written; the defaults of magenta.js differ.
- Unknown keys of `config.json` are ignored. The key `groovae` describes the model and its origin,
  and holds the SHA-256 of each file and of the rest of `config.json`.
- Encoders have one layer, all layers of a decoder have the same size, and none is residual.
- There is no flag for `add_instruments`: code that calls such a model must remove these drums from
  the input, as the page does.
"""

import base64
import hashlib
import html
import importlib.resources
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae import __version__
from groovae.config.config_file import CONFIG_FILE
from groovae.config.description import check_web_description
from groovae.config.layout import format_meter
from groovae.errors import GroovaeError, first_line
from groovae.export import tfjs_weights
from groovae.export.formats import LICENCE, check_dtype
from groovae.export.output_folder import check_output_folder, replace_export
from groovae.export.tfjs_weights import MANIFEST, SHARD_NAME
from groovae.model.checksums import checksums_of, read_verified
from groovae.model.formats import is_onnx_export, is_web_export
from groovae.music.drums import CLASS_NAMES
from groovae.system.atomic_files import json_text
from groovae.system.log import Log, no_log
from groovae.system.regular_files import read_json

PAGE_SCRIPTS = (
    *("page.js", "files.js", "segments.js"),
    *("model.js", "groove.js", "midi.js", "player.js"),
)
PAGE_FILES = ("index.html", "page.css", *PAGE_SCRIPTS)

MAGENTA_JS_VERSION = "1.23.1"
MAGENTA_JS_URL = (
    f"https://cdn.jsdelivr.net/npm/@magenta/music@{MAGENTA_JS_VERSION}/dist/magentamusic.js"
)
# Subresource integrity of dist/magentamusic.js in the npm package.
MAGENTA_JS_INTEGRITY = "sha384-oj8/W05Ba271e6q5zdMVC8iaF0HpQENHdkpkB1em2cs1tYFUtStZwMg6tQVSAuLj"
MAGENTA_JS_FILE = "magentamusic.js"
EXPORTED_FILES = {*PAGE_FILES, CONFIG_FILE, MANIFEST, MAGENTA_JS_FILE}

FilePath = str | os.PathLike[str]


def export(
    checkpoint: FilePath,
    out: FilePath,
    config: str | None = None,
    hparams: str | Sequence[str] = "",
    dtype: str = "float32",
    log: Log = no_log,
    magenta_js: FilePath | None = None,
) -> None:
    """Write a checkpoint as a folder for magenta.js with the page, atomically.

    Args:
      checkpoint: A training folder, a checkpoint prefix or a `.tar`.
      out: The folder to write: new, empty, or an earlier export, which is replaced.
      config: A key of `CONFIG_MAP`, for a checkpoint without a `config.json`.
      hparams: Hyperparameters, for a checkpoint without a `config.json`.
      dtype: Storage type of matrices, one of `DTYPES["magentajs"]`.
      log: Receives a line about what was written.
      magenta_js: A copy of @magenta/music's dist/magentamusic.js to put beside the page, so that
        the page needs no network; without it the page loads MAGENTA_JS_URL.

    Raises:
      UsageError: If `dtype` is unknown, or config or hparams contradict those of the checkpoint.
      GroovaeError: If the checkpoint is missing, damaged or not supported by magenta.js, `out`
        cannot be replaced or written, or `magenta_js` cannot be read.
    """
    check_dtype("magentajs", dtype)
    check_output_folder(out, is_replaceable)
    script = None if magenta_js is None else _read_magenta_js(magenta_js, log)

    from groovae.config import config_map
    from groovae.model.checkpoints import model_tensors, need_checkpoint

    prefix = need_checkpoint(checkpoint)
    name, full_config = config_map.resolve_config(Path(prefix).parent, config, hparams)
    tensors = model_tensors(prefix)
    _check_supported(prefix, full_config)
    _check_shapes(prefix, full_config, tensors)
    with replace_export(out, is_replaceable) as folder:
        try:
            size = tfjs_weights.write(folder, tensors, dtype)
        except ValueError as error:
            raise GroovaeError(f"{prefix}: {error}; use another --dtype") from error
        _write_page(folder, name, script)
        _write_config(folder, _build_config(prefix, name, full_config))
    log(f"{size / 1e6:.1f} MB of weights in {dtype}; play them with `groovae serve {out}`")


def read_verified_config(folder: FilePath) -> dict[str, Any]:
    """Verify the files of an export and return its `config.json`.

    Files of the page must exist but may have been edited; all others must match their checksum.

    Raises:
      GroovaeError: If the folder is not an export, or a file is missing or was changed.
    """
    path = Path(folder).expanduser()
    if not is_web_export(path):
        kind = "an ONNX export" if is_onnx_export(path) else "no model for magenta.js"
        raise GroovaeError(
            f"{folder}: {kind} in this folder; write one for the browser with `groovae export "
            "--format=magentajs --out=web`"
        )
    try:
        config = read_json(path / CONFIG_FILE)
        sha256 = config["groovae"].pop("sha256", None)
        check_web_description(config["groovae"])
    except (OSError, ValueError) as error:
        raise GroovaeError(
            f"{path / CONFIG_FILE}: this is not the config.json of an export "
            f"({first_line(error)}); export again with `groovae export --format=magentajs`"
        ) from error
    if sha256 != _config_sha256(config):
        raise GroovaeError(
            f"{path / CONFIG_FILE}: the SHA-256 differs from the one written at export; export "
            "again with `groovae export --format=magentajs`"
        )
    for name in config["groovae"]["files"]:
        if name not in PAGE_FILES or not (path / name).is_file():
            read_verified(path / name, config["groovae"]["files"])
    return config


def is_replaceable(folder: Path) -> bool:
    """Return whether a folder is a magenta.js export and holds no other files."""
    names = {entry.name for entry in folder.iterdir()} - EXPORTED_FILES
    return is_web_export(folder) and all(SHARD_NAME.fullmatch(name) for name in names)


def _check_supported(prefix: str, config: Any) -> None:
    """Raise a GroovaeError if magenta.js would fail on a model or compute something else."""
    from groovae.config import config_map

    hparams, layout = config.hparams, config_map.layout(config)
    reason = ""
    if layout.quarters_per_bar != 4:
        meter = format_meter(layout.meter)
        reason = f"its meter is {meter}, but only 4/4 is supported; use --format=onnx"
    elif layout.num_drums != len(CLASS_NAMES):
        reason = f"it has {layout.num_drums} drum classes, not nine; use --format=onnx"
    elif layout.control_context_steps:
        reason = "its controls have the hits of other steps; use --format=onnx"
    elif layout.tempo_as_control:
        reason = "its controls have the tempo; use --format=onnx"
    elif len(hparams.enc_rnn_size) > 1:
        reason = f"enc_rnn_size is {hparams.enc_rnn_size}, but only one encoder layer is supported"
    elif len(set(hparams.dec_rnn_size)) > 1:
        reason = f"dec_rnn_size is {hparams.dec_rnn_size}, but decoder layers must have one size"
    elif hparams.residual_encoder or hparams.residual_decoder:
        reason = "residual_encoder or residual_decoder is set, but residual layers do not exist"
    elif not hparams.conditional:
        reason = "conditional is not set, but the decoder always starts from z"
    if reason:
        raise GroovaeError(f"{prefix}: magenta.js cannot run this model: {reason}")


def _check_shapes(prefix: str, config: Any, tensors: dict[str, np.ndarray]) -> None:
    """Raise a GroovaeError if the weights are not those of a model of this config."""
    found = {name: list(tensor.shape) for name, tensor in tensors.items()}
    expected = variable_shapes(config)
    for name in [*expected, *found]:
        if found.get(name) != expected.get(name):
            raise GroovaeError(
                f"{prefix}: the shape of {name} is {found.get(name, 'missing')} in the checkpoint "
                f"and {expected.get(name, 'missing')} in the config; set the --config and "
                "--hparams it was trained with"
            )


def variable_shapes(config: Any) -> dict[str, list[int]]:
    """Return the shapes of a model's variables by name."""
    hparams, depth = config.hparams, config.data_converter.output_depth
    z_size, controls = hparams.z_size, config.data_converter.control_depth
    last = 2 * hparams.enc_rnn_size[-1]
    kernels = {"encoder/mu": (last, z_size), "encoder/sigma": (last, z_size)}
    inputs = depth + controls
    for i, size in enumerate(hparams.enc_rnn_size):
        for direction in ("fw", "bw"):
            cell = f"encoder/cell_{i}/bidirectional_rnn/{direction}/multi_rnn_cell/cell_0/lstm_cell"
            kernels[cell] = (inputs + size, 4 * size)
        inputs = 2 * size
    inputs = depth + z_size + controls
    for i, size in enumerate(hparams.dec_rnn_size):
        kernels[f"decoder/multi_rnn_cell/cell_{i}/lstm_cell"] = (inputs + size, 4 * size)
        inputs = size
    kernels["decoder/z_to_initial_state"] = (z_size, 2 * sum(hparams.dec_rnn_size))
    kernels["decoder/output_projection"] = (inputs, depth)
    return {
        f"{name}/{part}": shape
        for name, (rows, columns) in kernels.items()
        for part, shape in (("kernel", [rows, columns]), ("bias", [columns]))
    }


def _build_config(prefix: str, name: str, config: Any) -> dict[str, Any]:
    """Return `config.json` without checksums: what magenta.js needs, and the model's origin."""
    from groovae.config import config_map
    from groovae.config.tasks import task_of
    from groovae.model.checkpoints import training_step

    converter = config_map.converter_arguments(config.data_converter)
    layout = config_map.layout(config)
    arguments = {
        "numSteps": layout.window_steps,
        "stepsPerQuarter": layout.steps_per_quarter,
        "pitchClasses": converter["inference_pitch_classes"] or converter["pitch_classes"],
    }
    arguments.update({flag: True for flag in ("humanize", "tapify") if converter[flag]})
    controls = {}
    if layout.hits_as_controls:
        controls = {"extraControls": [{"name": "hits", "depth": layout.control_depth}]}
    return {
        "type": "MusicVAE",
        "dataConverter": {"type": "GrooveConverter", "args": arguments},
        **controls,
        "groovae": {
            "version": __version__,
            "config": name,
            "task": task_of(layout),
            "step": training_step(prefix),
            "addInstruments": list(layout.add_instruments),
            "licence": LICENCE,
            "hparams": config_map.config_json(name, config)["hparams"],
        },
    }


def _write_config(folder: Path, config: dict[str, Any]) -> None:
    """Write `config.json` with the checksums of all files in the folder and its own."""
    about = config["groovae"]
    about["files"] = checksums_of(folder, sorted(file.name for file in folder.iterdir()))
    about["sha256"] = _config_sha256(config)
    (folder / CONFIG_FILE).write_text(json_text(config), "utf-8")


def _config_sha256(config: dict[str, Any]) -> str:
    """Return the SHA-256 of `config.json` without the key that holds it."""
    return hashlib.sha256(json_text(config).encode("utf-8", "surrogatepass")).hexdigest()


def _read_magenta_js(path: FilePath, log: Log) -> bytes:
    try:
        script = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise GroovaeError(
            f"cannot read --magenta_js={path} ({error.strerror}); use dist/magentamusic.js of "
            f"`npm install @magenta/music@{MAGENTA_JS_VERSION}`"
        ) from error
    digest = base64.b64encode(hashlib.sha384(script).digest()).decode()
    if f"sha384-{digest}" != MAGENTA_JS_INTEGRITY:
        log(
            f"warning: {path} is not dist/magentamusic.js of @magenta/music {MAGENTA_JS_VERSION}, "
            "the version the page was tested with"
        )
    return script


def _write_page(folder: Path, config_name: str, script: bytes | None) -> None:
    """Write the page, and magenta.js beside it if its `script` is given."""
    source, attributes, origin = MAGENTA_JS_FILE, "", ""
    if script is None:
        source, origin = MAGENTA_JS_URL, f" {MAGENTA_JS_URL}"
        attributes = f' integrity="{MAGENTA_JS_INTEGRITY}" crossorigin="anonymous"'
    else:
        (folder / MAGENTA_JS_FILE).write_bytes(script)
    web = importlib.resources.files("groovae.export").joinpath("web")
    for file in PAGE_FILES:
        (folder / file).write_bytes(web.joinpath(file).read_bytes())
    page = (folder / "index.html").read_text("utf-8")
    for placeholder, value in (
        ("name", html.escape(config_name)),
        ("magenta_js", f'<script src="{source}"{attributes}></script>'),
        # magenta.js compiles code at run time.
        ("script_sources", f"'self' 'unsafe-eval'{origin}"),
    ):
        page = page.replace(f"{{{{ {placeholder} }}}}", value)
    (folder / "index.html").write_text(page, "utf-8")
