"""ONNX models play what TensorFlow plays, say what they are, and are never written half or wrong.

The models here have large random weights: those of a fresh model are near 0 and hide mistakes.
"""

import functools
import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from conftest import SMALL_HPARAMS, TINY_HPARAMS, Groovae
from web_export import random_checkpoint

from groovae import __version__, load_model
from groovae.cli.main import main
from groovae.config import config_map
from groovae.errors import GroovaeError, UsageError
from groovae.export import onnx_check
from groovae.export.onnx import describe, export, write
from groovae.export.onnx_graphs import Graphs
from groovae.export.onnx_nodes import Graph
from groovae.model import latent
from groovae.model.checkpoints import model_tensors, need_checkpoint, training_step
from groovae.model.checksums import checksums_of
from groovae.model.formats import ONNX_FILES, is_onnx_export
from groovae.model.onnx_network import OnnxNetwork, read_export
from groovae.model.tensorflow_network import TensorFlowNetwork
from groovae.system.packages import need_package
from groovae.upstream import tf

onnx: Any = need_package("onnx")
onnxruntime: Any = need_package("onnxruntime")

# Two layers each, of sizes that cannot be confused.
LAYERED = "batch_size=8,enc_rnn_size=[12,10],dec_rnn_size=[14,9],z_size=6"
CONTROLLED = "groovae_2bar_hits_control_tfds"


class Model(NamedTuple):
    """A checkpoint, in TensorFlow and exported; and what there is to compare them on."""

    checkpoint: str
    network: TensorFlowNetwork
    out: Path
    told: list[str]
    heard: onnx_check.ComparisonInputs


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Model]:
    @functools.cache
    def made(name: str) -> Model:
        folder, told, hparams = tmp_path_factory.mktemp(name), list[str](), LAYERED
        prefix = random_checkpoint(folder, name, hparams)
        config_map.save_config(
            folder, config_map.config_json(name, config_map.get_config(name, hparams))
        )
        export(folder, folder / "drums.onnx", log=told.append)
        network = TensorFlowNetwork(prefix, name, config_map.get_config(name, hparams), 4)
        heard = onnx_check.hear(onnx_check.windows_of(network)[::16], network.layout)
        return Model(prefix, network, folder / "drums.onnx", told, heard)

    return lambda name="groovae_4bar": made(name)


def thresholds_of(kind: str, windows: np.ndarray) -> np.ndarray:
    hits = windows[..., : windows.shape[-1] // 3]
    if kind == "given":
        return latent.forced_hit_thresholds(hits)
    temperature = {"likeliest": 0.0, "drawn": 1.0}[kind]
    return latent.thresholds(hits.shape, temperature, np.random.RandomState(3))


def assert_plays(found: Any, expected: Any, num_drums: int = 9) -> None:
    np.testing.assert_array_equal(found[0][..., :num_drums], expected[0][..., :num_drums])
    for here, there in zip(found, expected, strict=True):
        np.testing.assert_allclose(here, there, atol=1e-5)


# The same as TensorFlow


def test_the_reference_checkpoint_plays_as_native_magenta(native: Path, tmp_path: Path) -> None:
    export(native / "checkpoint", tmp_path / "out", hparams=SMALL_HPARAMS)
    outputs = np.load(native / "native_outputs.npz")
    exported, controls = OnnxNetwork(tmp_path / "out", 16), np.zeros((16, 64, 0), np.float32)
    mu, sigma = exported.encode(outputs["inputs"], controls)
    np.testing.assert_allclose(mu, outputs["mu"], atol=1e-5)
    np.testing.assert_allclose(sigma, outputs["sigma"], atol=1e-5)
    likeliest = np.zeros((16, 64, 9), np.float32)
    for z, decoded in ((outputs["z"], "decoded"), (outputs["mu"], "decoded_mu")):
        tensors, _ = exported.decode(z, likeliest, controls)
        np.testing.assert_array_equal(tensors[..., :9], outputs[decoded][..., :9])
        np.testing.assert_allclose(tensors, outputs[decoded], atol=1e-5)


@pytest.mark.parametrize("name", sorted(config_map.CONFIG_MAP))
def test_every_config_plays_as_in_tensorflow(model: Callable[..., Model], name: str) -> None:
    _, network, out, _, heard = model(name)
    exported, alone = OnnxNetwork(out, 64), OnnxNetwork(out)
    mu, sigma = network.encode(heard.inputs, heard.controls)
    assert 0.2 < mu.std() < 5
    for one in (exported, alone):
        np.testing.assert_allclose(one.encode(heard.inputs, heard.controls)[0], mu, atol=1e-5)
        np.testing.assert_allclose(one.encode(heard.inputs, heard.controls)[1], sigma, atol=1e-5)
    for kind in ("likeliest", "drawn", "given"):
        thresholds = thresholds_of(kind, heard.windows)
        expected = network.decode(mu, thresholds, heard.controls)
        assert 0.02 < expected[0][..., :9].mean() < 0.98
        for decode in (exported.decode, alone.decode, exported.decode_by_steps):
            assert_plays(decode(mu, thresholds, heard.controls), expected)


@pytest.mark.parametrize("steps", [1, 50, 128])
def test_other_lengths_than_in_training(model: Callable[..., Model], steps: int) -> None:
    _, network, out, _, heard = model()
    windows, exported = np.tile(heard.windows, [1, 2, 1])[:, :steps], OnnxNetwork(out, 64)
    controls = windows[..., :0]
    encoded = network.encode(windows, controls)
    assert_plays(exported.encode(windows, controls), encoded, 0)
    thresholds = thresholds_of("drawn", windows)
    expected = network.decode(encoded[0], thresholds, controls)
    assert_plays(exported.decode(encoded[0], thresholds, controls), expected)


def test_controls_reach_the_encoder_and_the_decoder(model: Callable[..., Model]) -> None:
    _, _, out, _, heard = model(CONTROLLED)
    exported, others = OnnxNetwork(out, 64), heard.controls[::-1].copy()
    mu, _ = exported.encode(heard.inputs, heard.controls)
    assert np.abs(exported.encode(heard.inputs, others)[0] - mu).max() > 0.01
    thresholds = thresholds_of("given", heard.windows)
    tensors, _ = exported.decode(mu, thresholds, heard.controls)
    assert np.abs(exported.decode(mu, thresholds, others)[0] - tensors).max() > 0.01


def test_noise_and_temperature_are_inputs_of_the_file(model: Callable[..., Model]) -> None:
    _, network, out, _, heard = model()
    controls, z = heard.controls, network.encode(heard.inputs, heard.controls)[0]
    session = onnxruntime.InferenceSession(str(out / "decoder.onnx"))
    noise = thresholds_of("drawn", heard.windows)
    hits = heard.windows[..., :9]
    for temperature, what in (
        (0.0, noise),
        (0.5, noise),
        (0.0, latent.forced_hit_thresholds(hits)),
    ):
        feed = {"z": z, "noise": what, "temperature": np.array(temperature, np.float32)}
        thresholds = what if np.isinf(what).any() else np.float32(temperature) * what
        assert_plays(session.run(None, feed), network.decode(z, thresholds, controls))


# Smaller files


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_what_a_smaller_dtype_costs_is_told_as_it_is(
    model: Callable[..., Model], dtype: str, records: Path, tmp_path: Path
) -> None:
    checkpoint, network, *_ = model()
    told: list[str] = []
    export(checkpoint, tmp_path / dtype, dtype=dtype, log=told.append, examples_path=str(records))
    small, loss = OnnxNetwork(tmp_path / dtype, 64), read_export(tmp_path / dtype)[0]["loss"]
    told_of = next(line for line in told if line.startswith(f"weights in {dtype}: of "))
    assert f"{loss['differing_hits']:,} differ" in told_of
    windows = _windows_of(records, loss["windows"])
    ways: list[onnx_check.Network] = [network, small]
    latents, sigmas = zip(*[way.encode(windows, windows[..., :0]) for way in ways], strict=True)
    assert np.abs(latents[0] - latents[1]).max() > 1e-5, "it is no coarser than float32"
    differing, hits, velocities, times = 0, 0, [], []
    for kind in (0.0, 1.0):
        shape = (*windows.shape[:2], 9)
        thresholds = latent.thresholds(shape, kind, np.random.RandomState(1))
        there, here = (
            way.decode(z, thresholds, windows[..., :0])[0]
            for way, z in zip(ways, latents, strict=True)
        )
        one, other = there[..., :9] > 0.5, here[..., :9] > 0.5
        differing += int((one ^ other).sum())
        hits += int((one | other).sum())
        apart = np.abs(there - here)
        velocities.append(127 * apart[..., 9:18][one & other])
        times.append(62.5 * apart[..., 18:][one & other])
    assert (loss["hits"], loss["differing_hits"]) == (hits, differing)
    for name, values in (("velocity", velocities), ("timing", times)):
        unit = "_ms" if name == "timing" else ""
        together = np.concatenate(values)
        assert loss[f"{name}_max{unit}"] == pytest.approx(together.max(), abs=1e-3)
        assert loss[f"{name}_mean{unit}"] == pytest.approx(together.mean(), abs=1e-3)
    assert loss["differing_hits"] < 0.2 * hits
    percent = 100 * np.abs(sigmas[1] / sigmas[0] - 1)
    assert loss["sigma_max_percent"] == pytest.approx(percent.max(), abs=1e-3)
    assert loss["sigma_mean_percent"] == pytest.approx(percent.mean(), abs=1e-3)
    assert f"sigma by {percent.mean():.3f} %" in told_of


def _windows_of(records: Path, number: int) -> np.ndarray:
    from groovae.data.source import DataSource

    windows = DataSource(str(records)).load(
        config_map.get_config(), records.parent, lambda line: None
    )
    return windows.outputs(np.linspace(0, len(windows) - 1, number).astype(int))


def test_weights_too_large_for_float16_are_refused(
    model: Callable[..., Model],
) -> None:
    tensors = model_tensors(model().checkpoint)
    tensors["decoder/output_projection/kernel"] = np.full((9, 27), 65_600, np.float32)
    with pytest.raises(GroovaeError, match=r"output_projection/kernel has values beyond 65,504"):
        Graphs(tensors, 0, "float16").models({})


def test_int8_has_a_scale_for_each_output() -> None:
    matrix = np.random.RandomState(1).randn(5, 4).astype(np.float32) * [1e-3, 1, 1e3, 0]
    for weight, axis in ((matrix, 0), (matrix.T, -1)):
        graph = Graph("int8")
        with np.errstate(all="raise"):
            graph.weight("w", weight.astype(np.float32), axis)
        values, scale = map(onnx.numpy_helper.to_array, graph.initializers)
        largest = np.abs(weight).max(axis=axis, keepdims=True)
        assert (np.abs(values).max(axis=axis, keepdims=True) == np.where(largest, 127, 0)).all()
        assert (np.abs(values * scale - weight) <= 0.501 * largest / 127).all()


def test_smaller_dtypes_make_smaller_files(native: Path, tmp_path: Path) -> None:
    sizes = []
    for dtype in ("float32", "float16", "int8"):
        export(native / "checkpoint", tmp_path / dtype, hparams=SMALL_HPARAMS, dtype=dtype)
        sizes.append(sum((tmp_path / dtype / name).stat().st_size for name in ONNX_FILES))
        types = {
            onnx.TensorProto.DataType.Name(weight.data_type).lower()
            for name in ONNX_FILES
            for weight in onnx.load(tmp_path / dtype / name).graph.initializer
            if len(weight.dims) > 1 and not weight.name.endswith(("/scale", "/bias"))
        }
        assert types == {"float" if dtype == "float32" else dtype}
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] < 0.4 * sizes[0]


# What the files say


def test_the_files_say_what_they_are(model: Callable[..., Model]) -> None:
    out = model(CONTROLLED).out
    assert {file.name for file in out.iterdir()} == {*ONNX_FILES, "config.json"}
    for name in ONNX_FILES:
        file = onnx.load(out / name)
        onnx.checker.check_model(file, full_check=True)
        assert (file.ir_version, file.opset_import[0].version) == (8, 14)
        said = {entry.key: entry.value for entry in file.metadata_props}
        assert said["config"] == CONTROLLED
        assert json.loads(said["hparams"])["dec_rnn_size"] == [14, 9]
        assert (said["step"], said["groovae"], said["dtype"]) == ("7", __version__, "float32")
        assert "CC BY 4.0" in said["licence"]


def test_config_json_has_all_that_a_program_needs(model: Callable[..., Model]) -> None:
    out = model(CONTROLLED).out
    about, layout = read_export(out)
    config = config_map.get_config(CONTROLLED, LAYERED)
    assert layout == config_map.layout(config)
    expected = config_map.config_json(CONTROLLED, config) | {
        "format": "onnx",
        "dtype": "float32",
        "step": 7,
        "groovae": __version__,
    }
    assert {key: about[key] for key in expected} == expected
    assert about["files"] == checksums_of(out, ONNX_FILES)
    digest = hashlib.sha256((out / "encoder.onnx").read_bytes()).hexdigest()
    assert about["files"]["encoder.onnx"] == {"sha256": digest}


def test_the_step_is_the_checkpoints_own_or_else_the_one_in_its_name(tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.Variable(5, name="global_step")
        other = tf.Variable(1.0, name="other")
        session.run(tf.global_variables_initializer())
        with_step = tf.train.Saver([step]).save(session, str(tmp_path / "own"), 9)
        without = tf.train.Saver([other]).save(session, str(tmp_path / "none"), 9)
    assert (training_step(with_step), training_step(without)) == (5, 9)
    with pytest.raises(GroovaeError, match="it holds no model"):
        model_tensors(without)


def test_weights_that_are_no_numbers_are_refused(tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        bias = tf.Variable([1.0, np.inf], name="encoder/mu/bias")
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver([bias]).save(session, str(tmp_path / "model.ckpt"), 1)
    with pytest.raises(GroovaeError, match="encoder/mu/bias contains non-finite"):
        model_tensors(prefix)


def test_an_export_in_a_training_folder_leaves_it_one(model: Callable[..., Model]) -> None:
    checkpoint, _, out, _, _ = model()
    folder = Path(checkpoint).parent
    assert out.parent == folder
    assert (is_onnx_export(out), is_onnx_export(folder)) == (True, False)
    assert need_checkpoint(folder) == checkpoint
    assert load_model(folder, seed=1).checkpoint == checkpoint


def test_playing_imports_neither_tensorflow_nor_note_seq(model: Callable[..., Model]) -> None:
    code = (
        "import sys, numpy as np\n"
        "from groovae.model.onnx_network import OnnxNetwork\n"
        "network = OnnxNetwork(sys.argv[1])\n"
        "z, none = network.encode(np.ones((2, 64, 27)), np.ones((2, 64, 0)))\n"
        "print(network.decode(z, np.zeros((2, 64, 9)), np.ones((2, 64, 0)))[0].shape)\n"
        "print({'tensorflow', 'note_seq', 'magenta', 'tf_keras'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code, str(model().out)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["(2, 64, 27)", "set()"]


# Refusals


@pytest.mark.parametrize(
    ("tensor", "file"),
    [
        ("encoder/mu/bias", "encoder.onnx"),
        ("decoder/output_projection/bias", "decoder.onnx"),
        ("decoder/multi_rnn_cell/cell_1/lstm_cell/kernel", "decoder.onnx"),
    ],
)
def test_a_model_that_differs_is_not_written(
    model: Callable[..., Model], tensor: str, file: str, tmp_path: Path
) -> None:
    checkpoint, network, _, _, heard = model()
    about = describe(checkpoint, "groovae_4bar", config_map.get_config("groovae_4bar", LAYERED))
    tensors = model_tensors(checkpoint)
    out = tmp_path / "out"
    write(out, about, tensors, network, heard)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    tensors[tensor] = tensors[tensor].copy()
    tensors[tensor].flat[-1] += 1e-2
    with pytest.raises(GroovaeError, match=f"^{file} does not play what the checkpoint does"):
        write(out, about, tensors, network, heard)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before
    with pytest.raises(GroovaeError, match="nothing was written"):
        write(tmp_path / "new", about, tensors, network, heard)
    assert os.listdir(tmp_path) == ["out"]


class Wrong:
    """A network that plays wrong where `is_wrong` says so of the thresholds."""

    def __init__(
        self, network: TensorFlowNetwork, is_wrong: Callable[[np.ndarray], bool], way: str
    ):
        self.encode = network.encode
        self.decode = self.decode_by_steps = network.decode
        setattr(self, way, self._decode)
        self._network, self._is_wrong = network, is_wrong

    def _decode(self, z: np.ndarray, thresholds: np.ndarray, controls: np.ndarray) -> Any:
        tensors, likelihoods = self._network.decode(z, thresholds, controls)
        return tensors, likelihoods + 1e-3 * self._is_wrong(thresholds)


@pytest.mark.parametrize("way", ["decode", "decode_by_steps"])
@pytest.mark.parametrize(
    "is_wrong",
    [
        lambda thresholds: np.abs(thresholds).max() < 0.01,  # the likeliest
        lambda thresholds: 0.01 < np.abs(thresholds).max() < np.inf,  # drawn, from the prior
        lambda thresholds: np.isinf(thresholds).all(),  # given
    ],
)
def test_each_way_to_play_is_compared(
    model: Callable[..., Model], is_wrong: Callable[[np.ndarray], bool], way: str
) -> None:
    _, network, _, _, heard = model()
    right: Any = Wrong(network, lambda thresholds: False, way)
    assert onnx_check.check_same(network, right, heard) == 0
    wrong: Any = Wrong(network, is_wrong, way)
    with pytest.raises(GroovaeError, match="does not play what the checkpoint does"):
        onnx_check.check_same(network, wrong, heard)


# How far the numbers move by rounding: not at all, by 6e-6, by 1.2e-4.
@pytest.mark.parametrize(("slope", "allowed"), [(0, 1e-5), (50, 6e-5), (1000, 1e-4)])
def test_what_may_differ_is_what_rounding_does(slope: int, allowed: float) -> None:
    def played(inputs: np.ndarray, off_by: float = 0) -> onnx_check.Decoded:
        return (inputs - 1) * slope + off_by, np.zeros(1)

    ones = np.ones(3)
    for off_by in (0.9 * allowed, -0.9 * allowed):
        apart = onnx_check._compare("x", played, functools.partial(played, off_by=off_by), ones)
        assert apart == pytest.approx(abs(off_by))
    with pytest.raises(GroovaeError, match=r"^x does not play what the checkpoint does"):
        onnx_check._compare("x", played, functools.partial(played, off_by=1.2 * allowed), ones)


def test_a_step_file_that_differs_is_found(model: Callable[..., Model], tmp_path: Path) -> None:
    _, network, out, _, heard = model()
    folder = tmp_path / "out"
    shutil.copytree(out, folder)
    _change_bias(folder / "decoder_step.onnx", "cell_1/bias", 0.01)
    with pytest.raises(GroovaeError, match=r"^decoder_step\.onnx does not play"):
        onnx_check.check_same(network, OnnxNetwork(folder, 64), heard)


def _change_bias(path: Path, name: str, by: float) -> None:
    file = onnx.load(path)
    bias = next(w for w in file.graph.initializer if w.name.endswith(name))
    changed = onnx.numpy_helper.to_array(bias) + np.float32(by)
    bias.CopyFrom(onnx.numpy_helper.from_array(changed, bias.name))
    path.write_bytes(file.SerializeToString())
    _describe(path.parent)


def _describe(folder: Path, **changes: Any) -> None:
    """Changes config.json, and writes the SHA-256 of the files as they are into it."""
    about = json.loads((folder / "config.json").read_text())
    about |= {"files": checksums_of(folder, ONNX_FILES)} | changes
    (folder / "config.json").write_text(json.dumps(about))


def test_a_folder_of_something_else_is_left_alone(
    model: Callable[..., Model], tmp_path: Path
) -> None:
    checkpoint, _, out, _, _ = model()
    song = tmp_path / "music" / "song.txt"
    song.parent.mkdir()
    song.write_text("mine")
    with pytest.raises(GroovaeError, match="holds something else than an earlier export"):
        export(checkpoint, song.parent)
    with pytest.raises(GroovaeError, match="is not a folder"):
        export(checkpoint, song)
    with pytest.raises(GroovaeError, match="holds something else"):
        export(checkpoint, Path(checkpoint).parent)
    mixed = tmp_path / "mixed"
    shutil.copytree(out, mixed)
    (mixed / "notes.txt").write_text("mine")
    with pytest.raises(GroovaeError, match="holds something else"):
        export(checkpoint, mixed)
    assert (song.read_text(), (mixed / "notes.txt").read_text()) == ("mine", "mine")


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda out: (out / "decoder.onnx").unlink(), "cannot read .*decoder.onnx: No such file"),
        (lambda out: os.truncate(out / "decoder.onnx", 500), "decoder.onnx: .*SHA-256 differs"),
        (lambda out: (out / "config.json").unlink(), "config.json: this is not .*exported model"),
        (lambda out: (out / "config.json").write_text("{"), "this is not the config.json"),
        (lambda out: (out / "config.json").write_text("[]"), "this is not the config.json"),
        (lambda out: (out / "config.json").write_text('{"format": "tfjs"}'), "format is not onnx"),
        (lambda out: _describe(out, files={"decoder.onnx": "x"}), "onnx: .*SHA-256 differs"),
        (lambda out: _describe(out, files=[]), "files is not an object"),
        (lambda out: _as_pipe(out / "decoder.onnx"), "cannot read .*decoder.onnx"),
        (lambda out: _describe(out, layout=[]), "this is not the config.json"),
        (lambda out: _describe(out, config="groovae_9bar"), r"describes \(.* differs: config\)"),
        (lambda out: _describe(out, hparams={"z_size": 5}), r"describes .* differs: hparams\)"),
        (lambda out: _describe(out, dtype="int8"), r"describes .* differs: dtype\)"),
        (lambda out: _describe(out, step="8"), r"describes .* differs: step\)"),
        (lambda out: _layout(out, split_bars="4"), r"describes .* differs: layout\)"),
        (lambda out: _layout(out, split_bars=2), r"describes .* differs: layout\)"),
        (lambda out: _layout(out, humanize=True), r"describes .* differs: layout\)"),
        (lambda out: _layout(out, humanize=0), r"describes .* differs: layout\)"),
        (lambda out: _layout(out, pitch_classes=[[36]] * 3), r"describes .* differs: layout\)"),
        (lambda out: _layout(out, pitch_classes=[[1e999]]), "this is not the config.json"),
    ],
)
def test_a_damaged_folder_is_one_line(
    model: Callable[..., Model], tmp_path: Path, damage: Callable[[Path], Any], words: str
) -> None:
    shutil.copytree(model().out, tmp_path / "out")
    damage(tmp_path / "out")
    assert is_onnx_export(tmp_path / "out")
    with pytest.raises(GroovaeError, match=words) as caught:
        OnnxNetwork(tmp_path / "out").decode(
            np.zeros((1, 6)), np.zeros((1, 64, 9)), np.zeros((1, 64, 0))
        )
    assert "\n" not in str(caught.value)


def _as_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _layout(folder: Path, **changes: Any) -> None:
    _describe(folder, layout=read_export(folder)[0]["layout"] | changes)


def test_a_file_of_another_model_that_is_signed_as_this_one_is_one_line(
    model: Callable[..., Model], tmp_path: Path
) -> None:
    shutil.copytree(model().out, tmp_path / "out")
    shutil.copy(model(CONTROLLED).out / "encoder.onnx", tmp_path / "out")
    _describe(tmp_path / "out")
    exported = OnnxNetwork(tmp_path / "out")
    with pytest.raises(GroovaeError, match=r"encoder\.onnx: .* differs: config, hparams, "):
        exported.encode(np.zeros((1, 64, 27)), np.zeros((1, 64, 0)))


def test_a_model_that_gives_what_is_no_number_is_one_line(
    model: Callable[..., Model], tmp_path: Path
) -> None:
    shutil.copytree(model().out, tmp_path / "out")
    _change_bias(tmp_path / "out" / "decoder.onnx", "output_projection/bias", np.nan)
    with pytest.raises(GroovaeError, match="non-finite"):
        OnnxNetwork(tmp_path / "out").decode(
            np.zeros((1, 6)), np.zeros((1, 64, 9)), np.zeros((1, 64, 0))
        )


def test_nothing_to_play_is_a_wrong_call(model: Callable[..., Model]) -> None:
    with pytest.raises(UsageError, match=r"encoder\.onnx takes 1 or more at a time, got 0"):
        OnnxNetwork(model().out).encode(np.zeros((0, 64, 27)), np.zeros((0, 64, 0)))


def test_a_file_that_is_no_model_and_signed_as_one_is_one_line(
    model: Callable[..., Model], tmp_path: Path
) -> None:
    shutil.copytree(model().out, tmp_path / "out")
    os.truncate(tmp_path / "out" / "encoder.onnx", 500)
    _describe(tmp_path / "out")
    with pytest.raises(GroovaeError, match=r"encoder\.onnx: "):
        OnnxNetwork(tmp_path / "out").encode(np.zeros((1, 64, 27)), np.zeros((1, 64, 0)))


def test_latents_of_another_size_are_one_line(model: Callable[..., Model]) -> None:
    exported = OnnxNetwork(model().out)
    with pytest.raises(GroovaeError, match=r"decoder\.onnx: .*z .*Got: 7 Expected: 6"):
        exported.decode(np.zeros((1, 7)), np.zeros((1, 64, 9)), np.zeros((1, 64, 0)))


def test_a_damaged_or_foreign_checkpoint_is_one_line(
    model: Callable[..., Model], native: Path, tmp_path: Path
) -> None:
    damaged = tmp_path / "damaged"
    shutil.copytree(Path(model().checkpoint).parent, damaged)
    os.truncate(next(damaged.glob("*.data-*")), 100)
    with pytest.raises(GroovaeError, match="damaged or incomplete"):
        export(damaged, tmp_path / "out")
    with pytest.raises(GroovaeError, match="not a checkpoint of groovae_4bar"):
        export(native / "checkpoint", tmp_path / "out", hparams=TINY_HPARAMS)
    residual = SMALL_HPARAMS + ",residual_decoder=true"
    with pytest.raises(GroovaeError, match="residual"):
        export(native / "checkpoint", tmp_path / "out", hparams=residual)
    with pytest.raises(UsageError, match="no dtype 'uint8'"):
        export(native / "checkpoint", tmp_path / "out", dtype="uint8")
    assert os.listdir(tmp_path) == ["damaged"]


def test_without_onnxruntime_it_says_how_to_get_it(
    model: Callable[..., Model], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(GroovaeError, match="run `pip install onnx onnxruntime`"):
        OnnxNetwork(model().out)


# The command


def test_the_command_exports_what_was_trained_and_replaces_an_earlier_export(
    groovae: Groovae, model: Callable[..., Model], trained: Path, records: Path, tmp_path: Path
) -> None:
    shutil.copytree(model().out, tmp_path / "model.onnx")
    result = groovae(
        "export",
        "--out=model.onnx",
        f"--checkpoint={trained}",
        f"--examples_path={records}",
        "--dtype=int8",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout == "model.onnx\n"
    assert "compared with TensorFlow on 64 windows: the same hits" in result.stderr
    assert "weights in int8: of " in result.stderr
    about, _ = read_export(tmp_path / "model.onnx")
    assert (about["dtype"], about["step"]) == ("int8", 3)
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ([], 2, "--out is missing"),
        (["--out=x", "--dtype=uint8"], 2, "float32, float16, int8"),
        (
            ["--out=x", "--format=magentajs", "--examples_path=x"],
            2,
            "--examples_path needs --format=onnx",
        ),
        (["--out=x"], 1, ".train: no such checkpoint"),
    ],
)
def test_wrong_calls_are_one_line(
    flags: list[str],
    code: int,
    words: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", *flags]) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
