"""Models for magenta.js: what the files hold, and what the real package makes of them in Node."""

import base64
import dataclasses
import hashlib
import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import KNOWN_PITCHES, SMALL_HPARAMS, TINY_HPARAMS, a_groove
from web_export import in_magenta_js, magenta_music, random_checkpoint, tensors_in

from groovae.config import config_map
from groovae.data.windows import to_controls, to_inputs, to_windows
from groovae.errors import GroovaeError, UsageError
from groovae.export import DTYPES, magentajs, tfjs_weights
from groovae.model.checkpoints import model_tensors, need_checkpoint
from groovae.model.tensorflow_network import TensorFlowNetwork

SIZES = "enc_rnn_size=[48],dec_rnn_size=[40,40],z_size=16"


@pytest.fixture(scope="module")
def native_outputs(native: Path) -> dict[str, np.ndarray]:
    return dict(np.load(native / "native_outputs.npz"))


@pytest.fixture
def exported(native: Path, tmp_path: Path) -> Callable[..., Path]:
    """Exports the native checkpoint."""

    def export(dtype: str = "float32") -> Path:
        magentajs.export(native / "checkpoint", tmp_path / dtype, None, SMALL_HPARAMS, dtype)
        return tmp_path / dtype

    return export


def random_windows(count: int, layout: Any) -> np.ndarray:
    random = np.random.RandomState(4)
    shape = (count, layout.window_steps, layout.num_drums)
    hits = random.random_sample(shape) < 0.2
    values = [hits, hits * random.uniform(0, 1, shape), hits * random.uniform(-1, 1, shape)]
    return np.concatenate(values, axis=-1).astype(np.float32)


def assert_plays_alike(ours: np.ndarray, theirs: np.ndarray, tolerance: float = 1e-5) -> None:
    np.testing.assert_array_equal(ours[..., :9], theirs[..., :9])
    np.testing.assert_allclose(ours[..., 9:], theirs[..., 9:], rtol=0, atol=tolerance)


# What magenta.js makes of it


def test_the_native_model_plays_and_hears_as_in_tensorflow(
    exported: Callable[..., Path], native_outputs: dict[str, np.ndarray]
) -> None:
    wanted = native_outputs
    z, mu, inputs = wanted["z"], wanted["mu"], wanted["inputs"]
    calls = [["decode", z], ["decode", mu], ["encode", inputs]]
    decoded, decoded_mu, encoded = in_magenta_js(exported(), *calls)
    assert wanted["decoded"][..., :9].sum() > 300
    assert_plays_alike(decoded, wanted["decoded"])
    assert_plays_alike(decoded_mu, wanted["decoded_mu"])
    np.testing.assert_allclose(encoded, mu, rtol=0, atol=1e-5)


@pytest.mark.parametrize("config_name", sorted(config_map.CONFIG_MAP))
def test_every_config_plays_and_hears_as_in_tensorflow(config_name: str, tmp_path: Path) -> None:
    prefix = random_checkpoint(tmp_path, config_name, SIZES)
    magentajs.export(prefix, tmp_path / "web", config_name, SIZES)
    config = config_map.get_config(config_name, SIZES)
    layout, network = config_map.layout(config), TensorFlowNetwork(prefix, config_name, config, 2)
    windows, z = random_windows(2, layout), np.random.RandomState(5).randn(2, 16)
    inputs, controls = to_inputs(windows, layout), to_controls(windows, layout)
    mu, _ = network.encode(inputs, controls)
    played, _ = network.decode(z, np.zeros(windows[..., :9].shape, np.float32), controls)
    calls: list[list[Any]] = []
    for i in range(2):  # magenta.js takes one control for all
        given = [controls[i]] if layout.hits_as_controls else []
        calls += [["encode", inputs[i : i + 1], *given], ["decode", z[i : i + 1], *given]]
    answers = in_magenta_js(tmp_path / "web", *calls)
    np.testing.assert_allclose(np.concatenate(answers[0::2]), mu, rtol=0, atol=1e-5)
    assert_plays_alike(np.concatenate(answers[1::2]), played)
    assert 0.2 < played[..., :9].mean() < 0.8


@pytest.mark.parametrize("layers", ["[40]", "[24,24,24]"])
def test_any_number_of_decoder_layers_plays(layers: str, tmp_path: Path) -> None:
    hparams = f"enc_rnn_size=[8],dec_rnn_size={layers},z_size=16"
    prefix = random_checkpoint(tmp_path, "groovae_2bar_humanize", hparams)
    magentajs.export(prefix, tmp_path / "web", "groovae_2bar_humanize", hparams)
    config = config_map.get_config("groovae_2bar_humanize", hparams)
    z = np.random.RandomState(5).randn(4, 16)
    thresholds, controls = np.zeros((4, 32, 9), np.float32), np.zeros((4, 32, 0), np.float32)
    network = TensorFlowNetwork(prefix, "groovae_2bar_humanize", config, 4)
    played, _ = network.decode(z, thresholds, controls)
    (decoded,) = in_magenta_js(tmp_path / "web", ["decode", z])
    assert_plays_alike(decoded, played)


def test_shards_may_cut_through_tensors(
    exported: Callable[..., Path],
    native_outputs: dict[str, np.ndarray],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(tfjs_weights, "SHARD_BYTES", 10_007)
    folder = exported()
    assert len(list(folder.glob("*.bin"))) > 20
    (decoded,) = in_magenta_js(folder, ["decode", native_outputs["z"]])
    assert_plays_alike(decoded, native_outputs["decoded"])


# Measured: errors of 3.5e-4, 5.0e-5 and 1.1e-2, and 0, 0 and 4 flipped hits of 9,216.
@pytest.mark.parametrize(
    ("dtype", "share_of_bytes", "max_error", "max_flipped"),
    [("float16", 0.51, 1e-3, 0), ("uint16", 0.51, 1e-4, 0), ("uint8", 0.27, 2e-2, 10)],
)
def test_fewer_bits_lose_little(
    dtype: str,
    share_of_bytes: float,
    max_error: float,
    max_flipped: int,
    exported: Callable[..., Path],
    native_outputs: dict[str, np.ndarray],
) -> None:
    folder = exported(dtype)
    num_bytes = sum(shard.stat().st_size for shard in folder.glob("*.bin"))
    full_bytes = sum(4 * tensor.size for tensor in tensors_in(exported()).values())
    assert num_bytes < share_of_bytes * full_bytes
    z, mu, inputs = (native_outputs[name] for name in ("z", "mu", "inputs"))
    decoded, encoded = in_magenta_js(folder, ["decode", z], ["encode", inputs])
    flipped = decoded[..., :9] != native_outputs["decoded"][..., :9]
    same = ~flipped.any(axis=(1, 2))
    error = np.abs(decoded - native_outputs["decoded"])[same].max()
    assert flipped.sum() <= max_flipped
    assert 0 < error < max_error
    assert 0 < np.abs(encoded - mu).max() < max_error


@pytest.mark.parametrize(
    "config_name",
    ["groovae_4bar", "groovae_2bar_humanize", "groovae_2bar_tap_fixed_velocity"],
)
def test_notes_are_heard_as_in_python(config_name: str, tmp_path: Path) -> None:
    prefix = random_checkpoint(tmp_path, config_name, TINY_HPARAMS)
    magentajs.export(prefix, tmp_path / "web", config_name, TINY_HPARAMS)
    layout = config_map.layout(config_name)
    bars = layout.split_bars
    pitches = sorted({22, 26, 43, 52, *KNOWN_PITCHES} - {58})  # which Magenta's two maps dispute
    groove = a_groove(bars=bars)
    for i, note in enumerate(groove.notes):
        note.pitch = pitches[i % len(pitches)]
    spec = json.loads((tmp_path / "web" / "config.json").read_text())
    assert spec["groovae"]["step"] == 7
    written = spec["dataConverter"]["args"]["pitchClasses"]
    assert written == [
        list(one) for one in config_map.CONFIG_MAP[config_name].data_converter._infer_pitch_classes
    ]
    notes = [
        {"pitch": n.pitch, "velocity": n.velocity, "isDrum": True}
        | {"startTime": n.start_time, "endTime": n.end_time}
        for n in groove.notes
    ]
    sequence = {"notes": notes, "tempos": [{"time": 0, "qpm": 120}], "totalTime": 2 * bars}
    (heard,) = in_magenta_js(tmp_path / "web", ["hear", sequence])
    classes = tuple(tuple(one) for one in written)

    wanted = to_windows(groove, dataclasses.replace(layout, pitch_classes=classes)).inputs[0]
    np.testing.assert_allclose(heard, wanted, rtol=0, atol=1e-5)
    assert heard[:, :9].sum() > 10


# What is refused


@pytest.mark.parametrize(
    ("hparams", "reason"),
    [
        ("enc_rnn_size=[8,8]", "encoders have one layer"),
        ("dec_rnn_size=[8,6]", "decoders' layers have one size"),
        ("residual_decoder=true", "no residual layers"),
        ("residual_encoder=true", "no residual layers"),
        ("conditional=false", "decoders begin with z"),
        ("z_size=5", r"encoder/mu/kernel is \[16, 4\] there, \[16, 5\] here"),
    ],
)
def test_what_magenta_js_cannot_run_is_refused_with_the_reason(
    hparams: str, reason: str, tmp_path: Path
) -> None:
    prefix = random_checkpoint(tmp_path, "groovae_4bar", TINY_HPARAMS)
    with pytest.raises(GroovaeError, match=reason):
        magentajs.export(prefix, tmp_path / "web", None, [TINY_HPARAMS, hparams])
    assert not (tmp_path / "web").exists()


def test_a_model_with_a_layer_more_is_refused(tmp_path: Path) -> None:
    prefix = random_checkpoint(tmp_path, "groovae_4bar", TINY_HPARAMS)
    with pytest.raises(GroovaeError, match="is not a model of this config"):
        magentajs.export(prefix, tmp_path / "web", None, [TINY_HPARAMS, "dec_rnn_size=[8]"])


def test_a_dtype_that_there_is_not_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="'int8'; take one of float32, float16, uint16, uint8"):
        magentajs.export(tmp_path, tmp_path / "web", dtype="int8")


def test_weights_too_large_for_float16_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="big has values beyond"):
        tfjs_weights.write(tmp_path, {"big": np.full((2, 2), 1e5, np.float32)}, "float16")


@pytest.mark.parametrize("kept", ["thesis.txt", "config.json"])
def test_a_folder_of_something_else_stays_as_it_is(
    kept: str, trained: Path, tmp_path: Path
) -> None:
    (tmp_path / "web").mkdir()
    (tmp_path / "web" / kept).write_text("{}")
    with pytest.raises(GroovaeError, match="holds something else than an earlier export"):
        magentajs.export(trained, tmp_path / "web")
    assert os.listdir(tmp_path / "web") == [kept]


def test_an_earlier_export_with_a_file_of_ones_own_stays_as_it_is(
    trained: Path, tmp_path: Path
) -> None:
    magentajs.export(trained, tmp_path / "web")
    (tmp_path / "web" / "mine.html").write_text("mine")
    with pytest.raises(GroovaeError, match="holds something else than an earlier export"):
        magentajs.export(trained, tmp_path / "web", dtype="uint8")
    assert (tmp_path / "web" / "mine.html").read_text() == "mine"


def test_a_file_in_the_way_stays_as_it_is(trained: Path, tmp_path: Path) -> None:
    (tmp_path / "web").write_text("a file")
    with pytest.raises(GroovaeError, match="it is not a folder"):
        magentajs.export(trained, tmp_path / "web")
    assert (tmp_path / "web").read_text() == "a file"


def test_a_magenta_js_that_is_not_there_is_told_with_how_to_get_it(
    trained: Path, tmp_path: Path
) -> None:
    with pytest.raises(GroovaeError, match=r"npm install @magenta/music@1\.23\.1"):
        magentajs.export(trained, tmp_path / "web", magenta_js=tmp_path / "no.js")


# What is written


def test_an_earlier_export_is_replaced_whole(trained: Path, tmp_path: Path) -> None:
    said: list[str] = []
    script = tmp_path / "mm.js"
    script.write_text("other")
    magentajs.export(trained, tmp_path / "web", magenta_js=script, log=said.append)
    assert "warning" in said[0]
    assert (tmp_path / "web" / "magentamusic.js").read_text() == "other"
    first = tensors_in(tmp_path / "web")
    magentajs.export(trained, tmp_path / "web", dtype="float16", log=said.append)
    assert not (tmp_path / "web" / "magentamusic.js").exists()
    second = tensors_in(tmp_path / "web")
    name = "encoder/mu/kernel"
    np.testing.assert_array_equal(second[name], first[name].astype(np.float16))
    assert sorted(os.listdir(tmp_path)) == ["mm.js", "web"]
    assert re.fullmatch(r"\d\.\d MB of weights in float16; play .*groovae serve .*web`", said[-1])


def test_an_export_that_fails_leaves_the_earlier_one(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    magentajs.export(trained, tmp_path / "web")
    before = {path.name: path.read_bytes() for path in (tmp_path / "web").iterdir()}
    monkeypatch.setattr(magentajs, "PAGE_FILES", (*magentajs.PAGE_FILES, "missing.js"))
    with pytest.raises((GroovaeError, OSError)):
        magentajs.export(trained, tmp_path / "web", dtype="uint8")
    after = {path.name: path.read_bytes() for path in (tmp_path / "web").iterdir()}
    assert after == before
    assert os.listdir(tmp_path) == ["web"]


def test_the_weights_are_the_checkpoints(trained: Path, tmp_path: Path) -> None:
    magentajs.export(trained, tmp_path / "web")
    wanted, found = model_tensors(need_checkpoint(trained)), tensors_in(tmp_path / "web")
    assert list(found) == list(wanted)
    for name, tensor in wanted.items():
        np.testing.assert_array_equal(found[name], tensor)


def test_the_config_says_where_the_model_comes_from(trained: Path, tmp_path: Path) -> None:
    magentajs.export(trained, tmp_path / "web")
    about = magentajs.check(tmp_path / "web")["groovae"]
    assert (about["config"], about["step"], about["task"]) == ("groovae_4bar", 3, None)
    assert about["hparams"] == config_map.read_config(trained)["hparams"]  # type: ignore[index]
    assert "CC BY 4.0" in about["licence"]


@pytest.mark.parametrize("dtype", DTYPES["magentajs"])
def test_tensors_come_back_within_half_a_step(dtype: str, tmp_path: Path) -> None:
    random = np.random.RandomState(1)
    tensors = {
        "matrix": random.randn(7, 5).astype(np.float32),
        "vector": random.randn(11).astype(np.float32),
        "constant": np.full((3, 3), 0.3, np.float32),
    }
    tfjs_weights.write(tmp_path, tensors, dtype)
    steps = {"float32": np.inf, "float16": 1024, "uint16": 65535, "uint8": 255}[dtype]
    span = np.ptp(tensors["matrix"]) if dtype.startswith("u") else np.abs(tensors["matrix"]).max()
    found = tensors_in(tmp_path)
    error = np.abs(found["matrix"] - tensors["matrix"]).max()
    assert error <= 0.501 * span / steps + (0 if dtype == "float32" else 1e-6)
    np.testing.assert_array_equal(found["vector"], tensors["vector"])
    np.testing.assert_allclose(found["constant"], tensors["constant"], rtol=1e-3)


def test_the_page_loads_magenta_js_by_its_hash_or_from_beside_it(
    trained: Path, tmp_path: Path
) -> None:
    magentajs.export(trained, tmp_path / "web")
    page = (tmp_path / "web" / "index.html").read_text()
    assert f'src="{magentajs.MAGENTA_JS_URL}" integrity="{magentajs.MAGENTA_JS_INTEGRITY}"' in page
    assert "{{" not in page
    (tmp_path / "mm.js").write_text("")
    magentajs.export(trained, tmp_path / "local", magenta_js=tmp_path / "mm.js")
    assert "://" not in (tmp_path / "local" / "index.html").read_text()


def test_the_hash_is_that_of_npms_file_which_needs_no_warning(
    trained: Path, tmp_path: Path
) -> None:
    script = magenta_music() / "dist" / "magentamusic.js"
    digest = base64.b64encode(hashlib.sha384(script.read_bytes()).digest()).decode()
    assert f"sha384-{digest}" == magentajs.MAGENTA_JS_INTEGRITY
    said: list[str] = []
    magentajs.export(trained, tmp_path / "web", magenta_js=script, log=said.append)
    assert not any("warning" in line for line in said)
    assert (tmp_path / "web" / "magentamusic.js").read_bytes() == script.read_bytes()


# Whole or not


@pytest.fixture(scope="module")
def pristine(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Exports of two models, with a magenta.js of their own."""
    folder = tmp_path_factory.mktemp("pristine")
    (folder / "mm.js").write_text("its own")
    exports = {name: folder / name for name in ("groovae_4bar", "groovae_2bar_hits_control_tfds")}
    for name, web in exports.items():
        prefix = random_checkpoint(folder, name, TINY_HPARAMS)
        magentajs.export(prefix, web, name, TINY_HPARAMS, magenta_js=folder / "mm.js")
    return exports


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
        (fill_shard, r"group1-shard1of1\.bin: this is not the file"),
        (lambda web: os.truncate(web / "group1-shard1of1.bin", 9), r"group1-.*: this is not the"),
        (lambda web: (web / "group1-shard1of1.bin").unlink(), r"cannot read .*group1-shard1of1\.b"),
        (edited("weights_manifest.json", "mu/bias", "nu/bias"), "manifest.json: this is not the"),
        (lambda web: (web / "weights_manifest.json").unlink(), "cannot read .*weights_manifest"),
        (lambda web: (web / "page.js").unlink(), r"cannot read .*page\.js: No such file"),
        (lambda web: (web / "magentamusic.js").unlink(), r"cannot read .*magentamusic\.js"),
        (edited("config.json", '"numSteps": 64', '"numSteps": 32'), r"config\.json: this is not"),
        (edited("config.json", '"sha256"', '"sum"'), r"config\.json: this is not what"),
        (edited("config.json", "MusicVAE", "MusicRNN"), "no model for magenta.js in this folder"),
        (lambda web: (web / "config.json").unlink(), "no model for magenta.js in this folder"),
    ],
)
def test_an_export_that_is_not_whole_is_told(
    damage: Callable[[Path], None], words: str, pristine: dict[str, Path], tmp_path: Path
) -> None:
    web = shutil.copytree(pristine["groovae_4bar"], tmp_path / "web")
    magentajs.check(web)
    damage(web)
    with pytest.raises(GroovaeError, match=f"{words}.*export"):
        magentajs.check(web)


def test_the_page_may_be_changed(pristine: dict[str, Path], tmp_path: Path) -> None:
    web = shutil.copytree(pristine["groovae_4bar"], tmp_path / "web")
    edited("page.css", "}", "} /* mine */")(web)
    assert magentajs.check(web)["type"] == "MusicVAE"


@pytest.mark.parametrize("name", ["weights_manifest.json", "group1-shard1of1.bin", "config.json"])
def test_a_file_of_another_export_is_told(
    name: str, pristine: dict[str, Path], tmp_path: Path
) -> None:
    web = shutil.copytree(pristine["groovae_4bar"], tmp_path / "web")
    shutil.copy(pristine["groovae_2bar_hits_control_tfds"] / name, web / name)
    with pytest.raises(GroovaeError, match=r"this is not the file that config\.json beside it"):
        magentajs.check(web)


def test_an_onnx_export_is_told_as_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "decoder.onnx").touch()
    with pytest.raises(GroovaeError, match=r"a model for ONNX in this folder; .* --out=web`"):
        magentajs.check(tmp_path)


def test_who_plays_a_web_export_is_told_what_it_is(pristine: dict[str, Path]) -> None:
    with pytest.raises(GroovaeError, match=r"a model for magenta\.js, .*groovae serve.*=onnx"):
        need_checkpoint(pristine["groovae_4bar"], "how to get one")
