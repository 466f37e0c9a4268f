"""A trained model as magenta.js reads it, with a page that plays it.

    groovae export --format=magentajs --out=web
    groovae serve web

The folder holds `config.json`, `weights_manifest.json` and the weights in shards, which
`new mm.MusicVAE(url)` of the npm package @magenta/music loads as they are, and the page: index.html
with its style and scripts. What there is to know of the format, by reading @magenta/music 1.23.1:

- The variables keep the names, shapes and layout that they have in the checkpoint.
- The pitches of the drum classes are always written: magenta.js takes others without them.
- What it does not know it ignores. So `config.json` says, below `groovae`, what the model is and
  where it comes from, and has the SHA-256 of each file, and of the rest of itself.
- Its encoders have one layer, the layers of a decoder one size, and none is residual.
- It has no flag for `add_instruments`: who calls such a model from JavaScript leaves these drums
  out of the input, as the page does.
"""

import base64
import hashlib
import html
import importlib.resources
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from groovae import __version__
from groovae.config.config_file import CONFIG_FILE
from groovae.errors import GroovaeError, UsageError
from groovae.export import DTYPES, LICENCE, tfjs_weights
from groovae.export.output_folder import check_place, replacing_export
from groovae.export.tfjs_weights import MANIFEST, SHARD_NAME
from groovae.model.checksums import checksums_of, read_verified
from groovae.model.formats import is_onnx_export, is_web_export
from groovae.system.atomic_files import json_text
from groovae.system.log import Log, no_log

PAGE_SCRIPTS = ("page.js", "files.js", "model.js", "groove.js", "midi.js", "player.js")
PAGE_FILES = ("index.html", "page.css", *PAGE_SCRIPTS)

MAGENTA_JS_VERSION = "1.23.1"
MAGENTA_JS_URL = (
    f"https://cdn.jsdelivr.net/npm/@magenta/music@{MAGENTA_JS_VERSION}/dist/magentamusic.js"
)
# Of dist/magentamusic.js in npm's package, as browsers check it.
MAGENTA_JS_INTEGRITY = "sha384-oj8/W05Ba271e6q5zdMVC8iaF0HpQENHdkpkB1em2cs1tYFUtStZwMg6tQVSAuLj"
MAGENTA_JS_FILE = "magentamusic.js"
OWN_FILES = {*PAGE_FILES, CONFIG_FILE, MANIFEST, MAGENTA_JS_FILE}

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
    """Writes a checkpoint as a folder for magenta.js, with the page: all of it, or nothing.

    Args:
      checkpoint: A training folder, a checkpoint's prefix or a `.tar`.
      out: The folder to write: a new one, an empty one, or an earlier export, which it replaces.
      config: A key of `CONFIG_MAP`, for a checkpoint without a `config.json`.
      hparams: Likewise.
      dtype: How kernels are stored, one of `DTYPES["magentajs"]`.
      log: Gets a line on what was written.
      magenta_js: A copy of @magenta/music's dist/magentamusic.js for the page to load, so that it
        needs no network; without it the page loads MAGENTA_JS_URL.

    Raises:
      UsageError: no such dtype, or config and hparams contradict the checkpoint's.
      GroovaeError: no checkpoint, a damaged one, or one that magenta.js cannot run; `out` is
        another thing's folder or cannot be written; `magenta_js` cannot be read.
    """
    dtypes = DTYPES["magentajs"]
    if dtype not in dtypes:
        raise UsageError(f"magenta.js has no dtype {dtype!r}; take one of {', '.join(dtypes)}")
    check_place(out, is_replaceable)
    script = None if magenta_js is None else _read_script(magenta_js, log)

    from groovae.config import config_map
    from groovae.model.checkpoints import model_tensors, need_checkpoint

    prefix = need_checkpoint(checkpoint)
    name, full_config = config_map.resolve_config(Path(prefix).parent, config, hparams)
    tensors = model_tensors(prefix)
    check_runs(prefix, full_config, tensors)
    with replacing_export(out, is_replaceable) as folder:
        size = _write_weights(folder, prefix, tensors, dtype)
        _write_page(folder, name, script)
        _write_config(folder, describe(prefix, name, full_config))
    log(f"{size / 1e6:.1f} MB of weights in {dtype}; play them with `groovae serve {out}`")


def describe(prefix: str, name: str, config: Any) -> dict[str, Any]:
    """What `config.json` says: the model as magenta.js wants it, and where it comes from."""
    from groovae.config import config_map
    from groovae.config.tasks import task_of
    from groovae.model.checkpoints import training_step

    converter, layout = (
        config_map.converter_arguments(config.data_converter),
        config_map.layout(config),
    )
    arguments = {
        "numSteps": layout.window_steps,
        "stepsPerQuarter": layout.steps_per_quarter,
        "pitchClasses": converter["inference_pitch_classes"] or converter["pitch_classes"],
    }
    arguments.update({flag: True for flag in ("humanize", "tapify") if converter[flag]})
    description: dict[str, Any] = {
        "type": "MusicVAE",
        "dataConverter": {"type": "GrooveConverter", "args": arguments},
    }
    if layout.hits_as_controls:
        description["extraControls"] = [{"name": "hits", "depth": layout.control_depth}]
    description["groovae"] = {
        "version": __version__,
        "config": name,
        "task": task_of(name),
        "step": training_step(prefix),
        "addInstruments": list(layout.add_instruments),
        "licence": LICENCE,
        "hparams": config_map.config_json(name, config)["hparams"],
    }
    return description


def check_runs(prefix: str, config: Any, tensors: dict[str, np.ndarray]) -> None:
    """Checks that magenta.js can compute a model; it would say little, or compute another one.

    Raises:
      GroovaeError: it cannot; the message is the reason.
    """
    hparams = config.hparams
    reason = ""
    if len(hparams.enc_rnn_size) > 1:
        reason = f"enc_rnn_size is {hparams.enc_rnn_size}, and its encoders have one layer"
    elif len(set(hparams.dec_rnn_size)) > 1:
        reason = f"dec_rnn_size is {hparams.dec_rnn_size}, and its decoders' layers have one size"
    elif hparams.residual_encoder or hparams.residual_decoder:
        reason = "residual_encoder or residual_decoder is set, and it has no residual layers"
    elif not hparams.conditional:
        reason = "conditional is not set, and its decoders begin with z"
    if reason:
        raise GroovaeError(f"{prefix}: magenta.js cannot run this model: {reason}")
    there, here = {name: list(tensor.shape) for name, tensor in tensors.items()}, _shapes(config)
    wrong = [name for name, shape in here.items() if there.get(name) != shape]
    wrong += [name for name in there if name not in here]
    if wrong:
        sizes = f"{there.get(wrong[0], 'missing')} there, {here.get(wrong[0], 'missing')} here"
        raise GroovaeError(
            f"{prefix}: this is not a model of this config with these hparams: {wrong[0]} is "
            f"{sizes}; give the --config and --hparams it was trained with"
        )


def check(folder: FilePath) -> dict[str, Any]:
    """Checks that a folder holds all that was exported, and returns its `config.json`.

    The model must be as it was; the page may have become somebody's own.

    Raises:
      GroovaeError: it holds no such export, or a part of it is missing or another one.
    """
    path = Path(folder).expanduser()
    if not is_web_export(path):
        what = "a model for ONNX" if is_onnx_export(path) else "no model for magenta.js"
        raise GroovaeError(
            f"{folder}: {what} in this folder; write one for the browser with `groovae export "
            "--format=magentajs --out=web`"
        )
    config = json.loads((path / CONFIG_FILE).read_text("utf-8"))
    if config["groovae"].pop("sha256", None) != _sum_of_config(config):
        raise GroovaeError(
            f"{path / CONFIG_FILE}: this is not what this version of groovae has written (its "
            "SHA-256 differs); export it again with `groovae export --format=magentajs`"
        )
    for name in config["groovae"]["files"]:
        if name not in PAGE_FILES or not (path / name).is_file():
            read_verified(path / name, config["groovae"]["files"])
    return config


def is_replaceable(folder: Path) -> bool:
    """Whether nothing is lost with a folder: an export, and no file beside those of one."""
    names = {entry.name for entry in folder.iterdir()}
    strange = [name for name in names - OWN_FILES if not SHARD_NAME.fullmatch(name)]
    return is_web_export(folder) and not strange


def _shapes(config: Any) -> dict[str, list[int]]:
    """The variables of a model that magenta.js can run, and their shapes."""
    hparams, depth = config.hparams, config.data_converter.output_depth
    z_size, controls = hparams.z_size, config.data_converter.control_depth
    units = hparams.enc_rnn_size[0]
    layers = {f"encoder/{name}": (2 * units, z_size) for name in ("mu", "sigma")}
    for way in ("fw", "bw"):
        cell = f"encoder/cell_0/bidirectional_rnn/{way}/multi_rnn_cell/cell_0/lstm_cell"
        layers[cell] = (depth + controls + units, 4 * units)
    below = depth + z_size + controls
    for i, size in enumerate(hparams.dec_rnn_size):
        layers[f"decoder/multi_rnn_cell/cell_{i}/lstm_cell"] = (below + size, 4 * size)
        below = size
    layers["decoder/z_to_initial_state"] = (z_size, 2 * sum(hparams.dec_rnn_size))
    layers["decoder/output_projection"] = (below, depth)
    return {
        f"{name}/{part}": shape
        for name, (rows, columns) in layers.items()
        for part, shape in (("kernel", [rows, columns]), ("bias", [columns]))
    }


def _read_script(path: FilePath, log: Log) -> bytes:
    try:
        script = Path(path).expanduser().read_bytes()
    except OSError as error:
        raise GroovaeError(
            f"cannot read --magenta_js={path} ({error.strerror}); name dist/magentamusic.js of "
            f"`npm install @magenta/music@{MAGENTA_JS_VERSION}`"
        ) from error
    digest = base64.b64encode(hashlib.sha384(script).digest()).decode()
    if f"sha384-{digest}" != MAGENTA_JS_INTEGRITY:
        log(
            f"warning: {path} is not the dist/magentamusic.js of @magenta/music "
            f"{MAGENTA_JS_VERSION}, which the page was made for"
        )
    return script


def _write_weights(folder: Path, prefix: str, tensors: dict[str, np.ndarray], dtype: str) -> int:
    try:
        return tfjs_weights.write(folder, tensors, dtype)
    except ValueError as error:
        raise GroovaeError(f"{prefix}: {error}; take another --dtype than {dtype}") from error


def _write_page(folder: Path, config_name: str, script: bytes | None) -> None:
    """The page's files, and magenta.js where it is to lie beside them."""
    web = importlib.resources.files("groovae.export").joinpath("web")
    for file in PAGE_FILES:
        (folder / file).write_bytes(web.joinpath(file).read_bytes())
    if script is not None:
        (folder / MAGENTA_JS_FILE).write_bytes(script)
    page = (folder / "index.html").read_text("utf-8")
    for name, value in _blanks(config_name, is_local=script is not None).items():
        page = page.replace(f"{{{{ {name} }}}}", value)
    (folder / "index.html").write_text(page, "utf-8")


def _write_config(folder: Path, description: dict[str, Any]) -> None:
    """`config.json`, with the sums of all that was written before it, and its own."""
    names = sorted(file.name for file in folder.iterdir())
    about = {**description["groovae"], "files": checksums_of(folder, names)}
    about["sha256"] = _sum_of_config({**description, "groovae": about})
    (folder / CONFIG_FILE).write_text(json_text({**description, "groovae": about}), "utf-8")


def _sum_of_config(config: dict[str, Any]) -> str:
    """Of `config.json`, itself left out."""
    return hashlib.sha256(json_text(config).encode("utf-8", "surrogatepass")).hexdigest()


def _blanks(config_name: str, is_local: bool) -> dict[str, str]:
    """What index.html leaves open. It is `unsafe-eval` since magenta.js compiles as it goes."""
    source, attributes = MAGENTA_JS_FILE, ""
    if not is_local:
        source = MAGENTA_JS_URL
        attributes = f' integrity="{MAGENTA_JS_INTEGRITY}" crossorigin="anonymous"'
    return {
        "name": html.escape(config_name),
        "magenta_js": f'<script src="{source}"{attributes}></script>',
        "script_sources": f"'self' 'unsafe-eval'{'' if is_local else ' ' + MAGENTA_JS_URL}",
    }
