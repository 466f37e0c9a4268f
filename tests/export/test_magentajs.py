"""Exports for magenta.js: their files, and what the npm package computes from them in Node."""

import base64
import dataclasses
import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import KNOWN_PITCHES, SMALL_HPARAMS, TINY_HPARAMS, a_groove
from web_export import (
    magenta_js_file,
    one_config_per_graph,
    random_checkpoint,
    random_train_dir,
    read_weights,
    run_magenta_js,
)

from groovae.config import config_map
from groovae.data.windows import to_controls, to_inputs, to_windows
from groovae.errors import GroovaeError, UsageError
from groovae.export import magentajs, tfjs_weights
from groovae.export.formats import DTYPES
from groovae.model.checkpoints import model_tensors, need_checkpoint
from groovae.model.tensorflow_network import TensorFlowNetwork

Exports = dict[str, Path]


@pytest.fixture(scope="module")
def reference(native: Path) -> dict[str, np.ndarray]:
    """The outputs of the native checkpoint in Magenta."""
    return dict(np.load(native / "native_outputs.npz"))


@pytest.fixture
def export_native(native: Path, tmp_path: Path) -> Callable[..., Path]:
    def export(dtype: str = "float32") -> Path:
        magentajs.export(native / "checkpoint", tmp_path / dtype, None, SMALL_HPARAMS, dtype)
        return tmp_path / dtype

    return export


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> str:
    return random_train_dir(tmp_path_factory.mktemp("train"), "groovae_4bar", TINY_HPARAMS)


@pytest.fixture(scope="module")
def exports(tmp_path_factory: pytest.TempPathFactory) -> Exports:
    """Exports of two models with a local magenta.js."""
    folder = tmp_path_factory.mktemp("exports")
    (folder / "mm.js").write_text("local copy")
    folders = {name: folder / name for name in ("groovae_4bar", "groovae_2bar_hits_control_tfds")}
    for name, web in folders.items():
        prefix = random_checkpoint(folder, name, TINY_HPARAMS)
        magentajs.export(prefix, web, name, TINY_HPARAMS, magenta_js=folder / "mm.js")
    return folders


def random_windows(count: int, layout: Any) -> np.ndarray:
    random = np.random.RandomState(4)
    shape = (count, layout.window_steps, layout.num_drums)
    hits = random.random_sample(shape) < 0.2
    values = [hits, hits * random.uniform(0, 1, shape), hits * random.uniform(-1, 1, shape)]
    return np.concatenate(values, axis=-1).astype(np.float32)


def assert_same_tensors(found: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(found[..., :9], expected[..., :9])
    np.testing.assert_allclose(found[..., 9:], expected[..., 9:], rtol=0, atol=1e-5)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


# Same results as TensorFlow


def test_reference_checkpoint(
    export_native: Callable[..., Path], reference: dict[str, np.ndarray]
) -> None:
    z, mu, inputs = (reference[name] for name in ("z", "mu", "inputs"))
    calls = [["decode", z], ["decode", mu], ["encode", inputs]]
    decoded, decoded_mu, encoded = run_magenta_js(export_native(), *calls)
    assert reference["decoded"][..., :9].sum() > 300
    assert_same_tensors(decoded, reference["decoded"])
    assert_same_tensors(decoded_mu, reference["decoded_mu"])
    np.testing.assert_allclose(encoded, mu, rtol=0, atol=1e-5)


WITH_CONTEXT = {
    name
    for name, config in config_map.CONFIG_MAP.items()
    if config_map.layout(config).control_context_steps
}


@pytest.mark.parametrize("name", sorted(WITH_CONTEXT))
def test_controls_of_other_steps_are_refused(name: str, tmp_path: Path) -> None:
    hparams = "enc_rnn_size=[8],dec_rnn_size=[8],z_size=4"
    prefix = random_checkpoint(tmp_path, name, hparams)
    with pytest.raises(GroovaeError, match="onnx"):
        magentajs.export(prefix, tmp_path / "web", name, hparams)


@pytest.mark.parametrize(
    ("config_name", "decoder"),
    [
        *[(name, "[40,40]") for name in one_config_per_graph() if name not in WITH_CONTEXT],
        ("groovae_2bar_humanize", "[40]"),
        ("groovae_2bar_humanize", "[24,24,24]"),
    ],
)
def test_every_graph_and_number_of_layers(config_name: str, decoder: str, tmp_path: Path) -> None:
    hparams = f"enc_rnn_size=[48],dec_rnn_size={decoder},z_size=16"
    prefix = random_checkpoint(tmp_path, config_name, hparams)
    magentajs.export(prefix, tmp_path / "web", config_name, hparams)
    config = config_map.get_config(config_name, hparams)
    layout, network = config_map.layout(config), TensorFlowNetwork(prefix, config_name, config, 2)
    windows, z = random_windows(2, layout), np.random.RandomState(5).randn(2, 16)
    inputs, controls = to_inputs(windows, layout), to_controls(windows, layout)
    mu, _ = network.encode(inputs, controls)
    decoded, _ = network.decode(z, np.zeros(windows[..., :9].shape, np.float32), controls)
    calls: list[list[Any]] = []
    for i in range(2):  # magenta.js takes the same controls for a whole batch
        extra = [controls[i]] if layout.hits_as_controls else []
        calls += [["encode", inputs[i : i + 1], *extra], ["decode", z[i : i + 1], *extra]]
    results = run_magenta_js(tmp_path / "web", *calls)
    np.testing.assert_allclose(np.concatenate(results[0::2]), mu, rtol=0, atol=1e-5)
    assert_same_tensors(np.concatenate(results[1::2]), decoded)
    assert 0.02 < decoded[..., :9].mean() < 0.98


def test_tensors_may_span_shards(
    export_native: Callable[..., Path],
    reference: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tfjs_weights, "SHARD_BYTES", 10_007)
    folder = export_native()
    assert len(list(folder.glob("*.bin"))) > 20
    (decoded,) = run_magenta_js(folder, ["decode", reference["z"]])
    assert_same_tensors(decoded, reference["decoded"])


# Measured: errors of 3.5e-4, 5.0e-5 and 1.1e-2, and 0, 0 and 4 differing hits of 9,216.
@pytest.mark.parametrize(
    ("dtype", "max_size", "max_error", "max_differing"),
    [("float16", 0.51, 1e-3, 0), ("uint16", 0.51, 1e-4, 0), ("uint8", 0.27, 2e-2, 10)],
)
def test_precision_loss_of_smaller_dtypes(
    dtype: str,
    max_size: float,
    max_error: float,
    max_differing: int,
    export_native: Callable[..., Path],
    reference: dict[str, np.ndarray],
) -> None:
    folder = export_native(dtype)
    size = sum(shard.stat().st_size for shard in folder.glob("*.bin"))
    assert size < max_size * sum(4 * tensor.size for tensor in read_weights(folder).values())
    z, mu, inputs = (reference[name] for name in ("z", "mu", "inputs"))
    decoded, encoded = run_magenta_js(folder, ["decode", z], ["encode", inputs])
    differing = decoded[..., :9] != reference["decoded"][..., :9]
    assert differing.sum() <= max_differing
    has_same_hits = ~differing.any(axis=(1, 2))
    assert 0 < np.abs(decoded - reference["decoded"])[has_same_hits].max() < max_error
    assert 0 < np.abs(encoded - mu).max() < max_error


@pytest.mark.parametrize(
    "config_name",
    ["groovae_4bar", "groovae_2bar_humanize", "groovae_2bar_tap_fixed_velocity"],
)
def test_notes_become_the_same_inputs(config_name: str, tmp_path: Path) -> None:
    prefix = random_checkpoint(tmp_path, config_name, TINY_HPARAMS)
    magentajs.export(prefix, tmp_path / "web", config_name, TINY_HPARAMS)
    layout = config_map.layout(config_name)
    bars = layout.split_bars
    pitches = sorted({22, 26, 43, 52, *KNOWN_PITCHES} - {58})  # differ between Magenta's two maps
    groove = a_groove(bars=bars)
    for i, note in enumerate(groove.notes):
        note.pitch = pitches[i % len(pitches)]
    config = json.loads((tmp_path / "web" / "config.json").read_text())
    assert config["groovae"]["step"] == 7
    written = config["dataConverter"]["args"]["pitchClasses"]
    assert written == [
        list(one) for one in config_map.CONFIG_MAP[config_name].data_converter._infer_pitch_classes
    ]
    notes = [
        {"pitch": n.pitch, "velocity": n.velocity, "isDrum": True}
        | {"startTime": n.start_time, "endTime": n.end_time}
        for n in groove.notes
    ]
    sequence = {"notes": notes, "tempos": [{"time": 0, "qpm": 120}], "totalTime": 2 * bars}
    (found,) = run_magenta_js(tmp_path / "web", ["convert", sequence])
    classes = tuple(tuple(one) for one in written)
    expected = to_windows(groove, dataclasses.replace(layout, pitch_classes=classes)).inputs[0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-5)
    assert found[:, :9].sum() > 10


# Errors


@pytest.mark.parametrize(
    ("hparams", "reason"),
    [
        ("enc_rnn_size=[8,8]", r"enc_rnn_size is \[8, 8\]"),
        ("dec_rnn_size=[8,6]", r"dec_rnn_size is \[8, 6\]"),
        ("residual_decoder=true", "residual"),
        ("residual_encoder=true", "residual"),
        ("conditional=false", "conditional"),
        ("z_size=5", r"encoder/mu/kernel is \[16, 4\] .* \[16, 5\]"),
        ("dec_rnn_size=[8]", "in the config; set the --config"),
    ],
)
def test_unsupported_or_different_model_is_rejected(
    hparams: str, reason: str, tmp_path: Path
) -> None:
    layered = TINY_HPARAMS.replace("dec_rnn_size=[8]", "dec_rnn_size=[8,8]")
    prefix = random_checkpoint(tmp_path, "groovae_4bar", layered)
    with pytest.raises(GroovaeError, match=reason):
        magentajs.export(prefix, tmp_path / "web", None, [layered, hparams])
    assert not (tmp_path / "web").exists()


def test_unknown_dtype_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"int8.* float32, float16, uint16, uint8"):
        magentajs.export(tmp_path, tmp_path / "web", dtype="int8")


def test_values_too_large_for_float16_are_rejected(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"big .* 65,504"):
        tfjs_weights.write(tmp_path, {"big": np.full((2, 2), 1e5, np.float32)}, "float16")


def test_folder_with_other_files_is_kept(checkpoint: str, exports: Exports, tmp_path: Path) -> None:
    web = tmp_path / "web"
    shutil.copytree(exports["groovae_4bar"], web)
    (web / "mine.html").write_text("mine")
    for name, text in (("thesis.txt", "thesis"), ("config.json", "{}")):
        (tmp_path / name).mkdir()
        (tmp_path / name / name).write_text(text)
    for folder in (web, tmp_path / "thesis.txt", tmp_path / "config.json"):
        before = contents(folder)
        with pytest.raises(GroovaeError, match="not from an export"):
            magentajs.export(checkpoint, folder)
        assert contents(folder) == before


def test_missing_magenta_js_names_the_package_to_install(checkpoint: str, tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=r"no\.js .*npm install @magenta/music@1\.23\.1"):
        magentajs.export(checkpoint, tmp_path / "web", magenta_js=tmp_path / "no.js")


# Files


def test_earlier_export_is_replaced(checkpoint: str, tmp_path: Path) -> None:
    lines: list[str] = []
    script, web = tmp_path / "mm.js", tmp_path / "web"
    script.write_text("other")
    magentajs.export(checkpoint, web, magenta_js=script, log=lines.append)
    assert "warning" in lines[0]
    assert (web / "magentamusic.js").read_text() == "other"
    first = read_weights(web)
    magentajs.export(checkpoint, web, dtype="float16", log=lines.append)
    assert not (web / "magentamusic.js").exists()
    second, name = read_weights(web), "encoder/mu/kernel"
    np.testing.assert_array_equal(second[name], first[name].astype(np.float16))
    assert sorted(os.listdir(tmp_path)) == ["mm.js", "web"]
    assert "0.0 MB of weights in float16" in lines[-1]
    assert f"groovae serve {web}" in lines[-1]


def test_failed_export_keeps_the_earlier_one(
    checkpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    web = tmp_path / "web"
    magentajs.export(checkpoint, web)
    before = contents(web)
    monkeypatch.setattr(magentajs, "PAGE_FILES", (*magentajs.PAGE_FILES, "missing.js"))
    with pytest.raises((GroovaeError, OSError)):
        magentajs.export(checkpoint, web, dtype="uint8")
    assert contents(web) == before
    assert os.listdir(tmp_path) == ["web"]


def test_weights_are_those_of_the_checkpoint(checkpoint: str, tmp_path: Path) -> None:
    magentajs.export(checkpoint, tmp_path / "web")
    expected, found = model_tensors(checkpoint), read_weights(tmp_path / "web")
    assert list(found) == list(expected)
    for name, tensor in expected.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_config_describes_the_model(checkpoint: str, tmp_path: Path) -> None:
    magentajs.export(checkpoint, tmp_path / "web")
    about = magentajs.read_verified_config(tmp_path / "web")["groovae"]
    assert (about["config"], about["step"], about["task"]) == ("groovae_4bar", 7, None)
    saved = config_map.read_config(Path(checkpoint).parent)
    assert saved is not None
    assert about["hparams"] == saved["hparams"]
    assert "CC BY 4.0" in about["licence"]


@pytest.mark.parametrize("dtype", DTYPES["magentajs"])
def test_weights_are_stored_within_half_a_step(dtype: str, tmp_path: Path) -> None:
    random = np.random.RandomState(1)
    tensors = {
        "matrix": random.randn(7, 5).astype(np.float32),
        "vector": random.randn(11).astype(np.float32),
        "constant": np.full((3, 3), 0.3, np.float32),
    }
    tfjs_weights.write(tmp_path, tensors, dtype)
    steps = {"float32": np.inf, "float16": 1024, "uint16": 65535, "uint8": 255}[dtype]
    span = np.ptp(tensors["matrix"]) if dtype.startswith("u") else np.abs(tensors["matrix"]).max()
    found = read_weights(tmp_path)
    error = np.abs(found["matrix"] - tensors["matrix"]).max()
    assert error <= 0.501 * span / steps + (0 if dtype == "float32" else 1e-6)
    np.testing.assert_array_equal(found["vector"], tensors["vector"])
    np.testing.assert_allclose(found["constant"], tensors["constant"], rtol=1e-3)


def test_page_loads_magenta_js_by_url_and_hash_or_locally(checkpoint: str, tmp_path: Path) -> None:
    script, lines = magenta_js_file(), list[str]()
    digest = base64.b64encode(hashlib.sha384(script.read_bytes()).digest()).decode()
    assert f"sha384-{digest}" == magentajs.MAGENTA_JS_INTEGRITY
    magentajs.export(checkpoint, tmp_path / "web")
    page = (tmp_path / "web" / "index.html").read_text()
    assert f'src="{magentajs.MAGENTA_JS_URL}" integrity="{magentajs.MAGENTA_JS_INTEGRITY}"' in page
    assert "{{" not in page
    local = tmp_path / "local"
    magentajs.export(checkpoint, local, magenta_js=script, log=lines.append)
    assert not any("warning" in line for line in lines)
    assert (local / "magentamusic.js").read_bytes() == script.read_bytes()
    assert "://" not in (local / "index.html").read_text()


# Verification


@pytest.fixture
def web(exports: Exports, tmp_path: Path) -> Path:
    """A copy of an export, to damage."""
    return shutil.copytree(exports["groovae_4bar"], tmp_path / "web")


def edited(name: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / name).read_text()
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1))

    return edit


def fill_shard(folder: Path) -> None:
    shard = folder / "group1-shard1of1.bin"
    shard.write_bytes(b"\xff" * shard.stat().st_size)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (fill_shard, r"group1-shard1of1\.bin.*SHA-256"),
        (lambda web: os.truncate(web / "group1-shard1of1.bin", 9), r"group1-.*SHA-256"),
        (lambda web: (web / "group1-shard1of1.bin").unlink(), r"group1-shard1of1\.bin: No such"),
        (edited("weights_manifest.json", "mu/bias", "nu/bias"), "manifest.json.*SHA-256"),
        (lambda web: (web / "weights_manifest.json").unlink(), "manifest.json: No such"),
        (lambda web: (web / "page.js").unlink(), r"page\.js: No such"),
        (lambda web: (web / "magentamusic.js").unlink(), r"magentamusic\.js: No such"),
        (edited("config.json", '"numSteps": 64', '"numSteps": 32'), r"config\.json.*SHA-256"),
        (edited("config.json", '"sha256"', '"sum"'), r"config\.json.*SHA-256"),
        (edited("config.json", "MusicVAE", "MusicRNN"), "no model for magenta.js"),
        (lambda web: (web / "config.json").unlink(), "no model for magenta.js"),
    ],
)
def test_damaged_export_is_rejected(damage: Callable[[Path], None], words: str, web: Path) -> None:
    magentajs.read_verified_config(web)
    damage(web)
    with pytest.raises(GroovaeError, match=f"{words}.*export"):
        magentajs.read_verified_config(web)


def test_edited_page_is_accepted(web: Path) -> None:
    edited("page.css", "}", "} /* mine */")(web)
    assert magentajs.read_verified_config(web)["type"] == "MusicVAE"


@pytest.mark.parametrize("name", ["weights_manifest.json", "group1-shard1of1.bin", "config.json"])
def test_file_of_another_export_is_rejected(name: str, exports: Exports, web: Path) -> None:
    shutil.copy(exports["groovae_2bar_hits_control_tfds"] / name, web / name)
    with pytest.raises(GroovaeError, match="SHA-256 differs"):
        magentajs.read_verified_config(web)


def test_onnx_export_is_named_as_such(tmp_path: Path) -> None:
    (tmp_path / "decoder.onnx").touch()
    with pytest.raises(GroovaeError, match=r"an ONNX export .* --out=web`"):
        magentajs.read_verified_config(tmp_path)


def test_inference_from_a_magenta_js_export_names_onnx(exports: Exports) -> None:
    with pytest.raises(GroovaeError, match=r"magenta\.js.*groovae serve.*=onnx"):
        need_checkpoint(exports["groovae_4bar"], "how to get one")
