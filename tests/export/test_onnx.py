"""Exported ONNX models compute the same as TensorFlow, describe themselves, and are verified.

The models have large random weights, as those of a fresh model are close to 0 and hide errors.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import SMALL_HPARAMS, TINY_HPARAMS, Groovae
from web_export import LAYERED, Exports, change_bias, change_config, one_config_per_graph

from groovae import __version__, load_model
from groovae.cli.main import main
from groovae.config import config_map
from groovae.errors import GroovaeError, UsageError
from groovae.export.onnx import export
from groovae.export.onnx_graphs import ModelGraphs
from groovae.export.onnx_nodes import GraphBuilder
from groovae.model import latent
from groovae.model.checkpoints import model_tensors, need_checkpoint, training_step
from groovae.model.checksums import checksums_of
from groovae.model.formats import ONNX_FILES, is_onnx_export
from groovae.model.onnx_network import OnnxNetwork, metadata_value, read_export
from groovae.system.packages import need_package
from groovae.upstream import tf

onnx: Any = need_package("onnx")
onnxruntime: Any = need_package("onnxruntime")

CONTROLLED = "groovae_2bar_hits_control_tfds"


@pytest.fixture
def folder(exports: Exports, tmp_path: Path) -> Path:
    """A copy of an exported model, to damage."""
    return shutil.copytree(exports().folder, tmp_path / "out")


def thresholds_of(kind: str, windows: np.ndarray) -> np.ndarray:
    hits = windows[..., : windows.shape[-1] // 3]
    if kind == "forced":
        return latent.forced_hit_thresholds(hits)
    temperature = {"most_likely": 0.0, "sampled": 1.0}[kind]
    return latent.thresholds(hits.shape, temperature, np.random.RandomState(3))


def assert_same_outputs(found: Any, expected: Any, num_drums: int = 9) -> None:
    np.testing.assert_array_equal(found[0][..., :num_drums], expected[0][..., :num_drums])
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)


def decode_zeros(folder: Path, z_size: int = 6) -> Any:
    exported = OnnxNetwork(folder)
    return exported.decode(np.zeros((1, z_size)), np.zeros((1, 64, 9)), np.zeros((1, 64, 0)))


# Same results as TensorFlow


def test_reference_checkpoint(native: Path, tmp_path: Path) -> None:
    export(native / "checkpoint", tmp_path / "out", hparams=SMALL_HPARAMS)
    outputs = np.load(native / "native_outputs.npz")
    exported, controls = OnnxNetwork(tmp_path / "out", 16), np.zeros((16, 64, 0), np.float32)
    encoded = exported.encode(outputs["inputs"], controls)
    assert_same_outputs(encoded, (outputs["mu"], outputs["sigma"]), 0)
    most_likely = np.zeros((16, 64, 9), np.float32)
    for z, decoded in (("z", "decoded"), ("mu", "decoded_mu")):
        tensors, _ = exported.decode(outputs[z], most_likely, controls)
        assert_same_outputs([tensors], [outputs[decoded]])


@pytest.mark.parametrize("name", one_config_per_graph())
def test_every_graph(exports: Exports, name: str) -> None:
    _, network, out, (windows, inputs, controls) = exports(name)
    batched, single = OnnxNetwork(out, 64), OnnxNetwork(out)
    encoded = network.encode(inputs, controls)
    mu, _ = encoded
    assert 0.2 < mu.std() < 5
    for exported in (batched, single):
        assert_same_outputs(exported.encode(inputs, controls), encoded, 0)
    for kind in ("most_likely", "sampled", "forced"):
        thresholds = thresholds_of(kind, windows)
        expected = network.decode(mu, thresholds, controls)
        assert 0.02 < expected[0][..., :9].mean() < 0.98
        for decode in (batched.decode, single.decode, batched.decode_by_steps):
            assert_same_outputs(decode(mu, thresholds, controls), expected)


@pytest.mark.parametrize("steps", [1, 50, 128])
def test_windows_of_any_length(exports: Exports, steps: int) -> None:
    _, network, out, inputs = exports()
    windows, exported = np.tile(inputs.windows, [1, 2, 1])[:, :steps], OnnxNetwork(out, 64)
    controls = windows[..., :0]
    encoded = network.encode(windows, controls)
    assert_same_outputs(exported.encode(windows, controls), encoded, 0)
    thresholds = thresholds_of("sampled", windows)
    expected = network.decode(encoded[0], thresholds, controls)
    assert_same_outputs(exported.decode(encoded[0], thresholds, controls), expected)


def test_noise_and_temperature_are_inputs(exports: Exports) -> None:
    _, network, out, (windows, inputs, controls) = exports()
    z, _ = network.encode(inputs, controls)
    session = onnxruntime.InferenceSession(str(out / "decoder.onnx"))
    sampled, forced = thresholds_of("sampled", windows), thresholds_of("forced", windows)
    for temperature, noise, thresholds in (
        (0.0, sampled, 0 * sampled),
        (0.5, sampled, np.float32(0.5) * sampled),
        (0.0, forced, forced),
    ):
        feed = {"z": z, "noise": noise, "temperature": np.array(temperature, np.float32)}
        assert_same_outputs(session.run(None, feed), network.decode(z, thresholds, controls))


# Smaller files


def test_values_too_large_for_float16_are_rejected(exports: Exports) -> None:
    tensors = model_tensors(exports().checkpoint)
    tensors["decoder/output_projection/kernel"] = np.full((9, 27), 65_600, np.float32)
    with pytest.raises(GroovaeError, match=r"output_projection/kernel .* 65,504"):
        ModelGraphs(tensors, 0, "float16").models({})


def test_int8_has_a_scale_per_output() -> None:
    matrix = np.random.RandomState(1).randn(5, 4).astype(np.float32) * [1e-3, 1, 1e3, 0]
    for weight, axis in ((matrix, 0), (matrix.T, -1)):
        graph = GraphBuilder("int8")
        with np.errstate(all="raise"):
            graph.weight("w", weight.astype(np.float32), axis)
        values, scale = map(onnx.numpy_helper.to_array, graph.initializers)
        largest = np.abs(weight).max(axis=axis, keepdims=True)
        assert (np.abs(values).max(axis=axis, keepdims=True) == np.where(largest, 127, 0)).all()
        assert (np.abs(values * scale - weight) <= 0.501 * largest / 127).all()


def test_smaller_dtypes_make_smaller_files(native: Path) -> None:
    tensors, sizes = model_tensors(need_checkpoint(native / "checkpoint")), []
    for dtype in ("float32", "float16", "int8"):
        models = ModelGraphs(tensors, 0, dtype).models({}).values()
        sizes.append(sum(model.ByteSize() for model in models))
        types = {
            onnx.TensorProto.DataType.Name(weight.data_type).lower()
            for model in models
            for weight in model.graph.initializer
            if len(weight.dims) > 1 and not weight.name.endswith(("/scale", "/bias"))
        }
        assert types == {"float" if dtype == "float32" else dtype}
    assert sizes[1] < 0.6 * sizes[0]
    assert sizes[2] < 0.4 * sizes[0]


# Metadata


def test_metadata_of_the_models(exports: Exports) -> None:
    out = exports(CONTROLLED).folder
    assert {file.name for file in out.iterdir()} == {*ONNX_FILES, "config.json"}
    for name in ONNX_FILES:
        model = onnx.load(out / name)
        onnx.checker.check_model(model, full_check=True)
        assert (model.ir_version, model.opset_import[0].version) == (8, 14)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        assert metadata["config"] == CONTROLLED
        assert json.loads(metadata["hparams"])["dec_rnn_size"] == [14, 9]
        assert [metadata[key] for key in ("step", "groovae", "dtype")] == [
            *("7", __version__, "float32")
        ]
        assert "CC BY 4.0" in metadata["licence"]


def test_config_json(exports: Exports) -> None:
    out = exports(CONTROLLED).folder
    description, layout = read_export(out)
    config = config_map.get_config(CONTROLLED, LAYERED)
    assert layout == config_map.layout(config)
    expected = config_map.config_json(CONTROLLED, config) | {
        "format": "onnx",
        "dtype": "float32",
        "step": 7,
        "groovae": __version__,
    }
    assert {key: description[key] for key in expected} == expected
    assert description["files"] == checksums_of(out, ONNX_FILES)
    digest = hashlib.sha256((out / "encoder.onnx").read_bytes()).hexdigest()
    assert description["files"]["encoder.onnx"] == {"sha256": digest}


def test_step_of_the_checkpoint_or_of_its_name(tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        step = tf.Variable(5, name="global_step")
        other = tf.Variable(1.0, name="other")
        session.run(tf.global_variables_initializer())
        with_step = tf.train.Saver([step]).save(session, str(tmp_path / "own"), 9)
        without = tf.train.Saver([other]).save(session, str(tmp_path / "none"), 9)
    assert (training_step(with_step), training_step(without)) == (5, 9)
    with pytest.raises(GroovaeError, match="no model"):
        model_tensors(without)


def test_non_finite_weights_are_rejected(tmp_path: Path) -> None:
    with tf.Graph().as_default(), tf.Session() as session:
        bias = tf.Variable([1.0, np.inf], name="encoder/mu/bias")
        session.run(tf.global_variables_initializer())
        prefix = tf.train.Saver([bias]).save(session, str(tmp_path / "model.ckpt"), 1)
    with pytest.raises(GroovaeError, match="encoder/mu/bias"):
        model_tensors(prefix)


def test_training_folder_with_an_export_in_it_still_loads(exports: Exports) -> None:
    checkpoint, _, out, _ = exports()
    folder = Path(checkpoint).parent
    assert out.parent == folder
    assert (is_onnx_export(out), is_onnx_export(folder)) == (True, False)
    assert need_checkpoint(folder) == checkpoint
    assert load_model(folder, seed=1).checkpoint == checkpoint


def test_inference_imports_neither_tensorflow_nor_note_seq(exports: Exports) -> None:
    code = (
        "import sys, numpy as np\n"
        "from groovae.model.onnx_network import OnnxNetwork\n"
        "network = OnnxNetwork(sys.argv[1])\n"
        "z, none = network.encode(np.ones((2, 64, 27)), np.ones((2, 64, 0)))\n"
        "print(network.decode(z, np.zeros((2, 64, 9)), np.ones((2, 64, 0)))[0].shape)\n"
        "print({'tensorflow', 'note_seq', 'magenta', 'tf_keras'} & set(sys.modules))\n"
    )
    command = [sys.executable, "-c", code, str(exports().folder)]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    assert result.stdout.splitlines() == ["(2, 64, 27)", "set()"]


# Errors


def test_folder_with_other_files_is_kept(exports: Exports, folder: Path, tmp_path: Path) -> None:
    checkpoint = exports().checkpoint
    song = tmp_path / "music" / "song.txt"
    song.parent.mkdir()
    song.write_text("mine")
    (folder / "notes.txt").write_text("mine")
    for out in (song.parent, Path(checkpoint).parent, folder):
        with pytest.raises(GroovaeError, match="not from an export"):
            export(checkpoint, out)
    assert (song.read_text(), (folder / "notes.txt").read_text()) == ("mine", "mine")


def replace_by_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def change_layout(folder: Path, **changes: Any) -> None:
    change_config(folder, layout=read_export(folder)[0]["layout"] | changes)


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda out: (out / "decoder.onnx").unlink(), "decoder.onnx: No such file"),
        (lambda out: os.truncate(out / "decoder.onnx", 500), "decoder.onnx: .*SHA-256"),
        (lambda out: replace_by_pipe(out / "decoder.onnx"), "decoder.onnx"),
        (lambda out: (out / "config.json").unlink(), "config.json"),
        (lambda out: (out / "config.json").write_text("{"), "config.json"),
        (lambda out: (out / "config.json").write_text("[]"), "config.json"),
        (lambda out: (out / "config.json").write_text('{"format": "tfjs"}'), "format"),
        (lambda out: change_config(out, files={"decoder.onnx": "x"}), "onnx: .*SHA-256"),
        (lambda out: change_config(out, files=[]), "config.json.*files"),
        (lambda out: change_config(out, layout=[]), "config.json"),
        (
            lambda out: change_config(out, config="groovae_2bar_humanize"),
            "decoder.onnx: .* config\\)",
        ),
        (lambda out: change_config(out, hparams={"z_size": 5}), "config.json: .*hparam "),
        (lambda out: change_config(out, dtype="int8"), "decoder.onnx: .* dtype\\)"),
        (lambda out: change_config(out, step=8), "decoder.onnx: .* step\\)"),
        (lambda out: change_layout(out, split_bars="4"), "config.json: .* split_bars"),
        (lambda out: change_layout(out, split_bars=2), "decoder.onnx: .* layout\\)"),
        (lambda out: change_layout(out, humanize=True), "decoder.onnx: .* layout\\)"),
        (lambda out: change_layout(out, humanize=0), "config.json: .* humanize"),
        (lambda out: change_layout(out, pitch_classes=[[36]] * 3), "config.json: .* pitch_classes"),
        (lambda out: change_layout(out, pitch_classes=[[1e999]]), "config.json"),
    ],
)
def test_damaged_export_is_an_error_of_one_line(
    folder: Path, damage: Callable[[Path], Any], words: str
) -> None:
    damage(folder)
    assert is_onnx_export(folder)
    with pytest.raises(GroovaeError, match=words) as caught:
        decode_zeros(folder)
    assert "\n" not in str(caught.value)


def test_model_of_another_export_with_valid_checksum_is_rejected(
    exports: Exports, folder: Path
) -> None:
    shutil.copy(exports(CONTROLLED).folder / "encoder.onnx", folder)
    change_config(folder)
    with pytest.raises(GroovaeError, match=r"encoder\.onnx: .* config, hparams, "):
        OnnxNetwork(folder).encode(np.zeros((1, 64, 27)), np.zeros((1, 64, 0)))


def test_invalid_model_with_valid_checksum_is_rejected(folder: Path) -> None:
    os.truncate(folder / "encoder.onnx", 500)
    change_config(folder)
    with pytest.raises(GroovaeError, match=r"encoder\.onnx: "):
        OnnxNetwork(folder).encode(np.zeros((1, 64, 27)), np.zeros((1, 64, 0)))


def test_endless_loop_with_valid_checksum_is_rejected(folder: Path) -> None:
    model = onnx.load(folder / "decoder.onnx")
    body = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["a"], ["b"])], "x", [], [])
    model.graph.node.append(onnx.helper.make_node("Loop", ["", ""], [], body=body))
    onnx.save(model, folder / "decoder.onnx")
    change_config(folder)
    with pytest.raises(GroovaeError, match=r"decoder\.onnx: .*the operator Loop"):
        OnnxNetwork(folder)


def forge(folder: Path, **changes: Any) -> None:
    """Change keys of config.json, and in the metadata of the decoder likewise."""
    model = onnx.load(folder / "decoder.onnx")
    for entry in model.metadata_props:
        if entry.key in changes:
            entry.value = metadata_value(changes[entry.key])
    onnx.save(model, folder / "decoder.onnx")
    change_config(folder, **changes)


def test_forged_description_with_valid_metadata_is_an_error(folder: Path) -> None:
    forge(folder, layout=read_export(folder)[0]["layout"] | {"split_bars": -1})
    with pytest.raises(GroovaeError, match=r"config\.json: .* split_bars must be "):
        OnnxNetwork(folder)


def change_output(folder: Path, name: str, number: int, operator: str, **attributes: Any) -> None:
    """Apply an operator to an output of a model, twice the output if it takes several inputs."""
    model = onnx.load(folder / name)
    output = model.graph.output[number]
    inputs = [output.name] * (2 if operator == "Concat" else 1)
    model.graph.node.append(onnx.helper.make_node(operator, inputs, ["other"], **attributes))
    elem_type = attributes.get("to", onnx.TensorProto.FLOAT)
    output.CopyFrom(onnx.helper.make_tensor_value_info("other", elem_type, None))
    onnx.save(model, folder / name)
    change_config(folder)


def decode_steps_of_zeros(folder: Path) -> None:
    z, noise = np.zeros((1, 6), np.float32), np.zeros((1, 2, 9), np.float32)
    OnnxNetwork(folder).decode_by_steps(z, noise, noise[..., :0])


@pytest.mark.parametrize(
    ("name", "number", "change"),
    [
        *(("decoder.onnx", 0, {"operator": "Concat", "axis": axis}) for axis in (0, 1, 2)),
        ("decoder.onnx", 0, {"operator": "Cast", "to": onnx.TensorProto.INT64}),
        ("decoder_start.onnx", 0, {"operator": "Concat", "axis": 1}),
        *(("decoder_step.onnx", i, {"operator": "Concat", "axis": 0}) for i in range(3)),
    ],
)
def test_output_of_another_shape_or_type_is_an_error(
    folder: Path, name: str, number: int, change: dict[str, Any]
) -> None:
    change_output(folder, name, number, **change)
    use = decode_zeros if name == "decoder.onnx" else decode_steps_of_zeros
    with pytest.raises(GroovaeError, match=rf"{name}: its outputs have the shapes (float32|int64)"):
        use(folder)


def test_missing_output_is_an_error(folder: Path) -> None:
    model = onnx.load(folder / "decoder.onnx")
    del model.graph.output[1]
    onnx.save(model, folder / "decoder.onnx")
    change_config(folder)
    with pytest.raises(GroovaeError, match=r"decoder\.onnx: its outputs"):
        decode_zeros(folder)


def test_non_finite_output_is_an_error(folder: Path) -> None:
    change_bias(folder / "decoder.onnx", "output_projection/bias", np.nan)
    with pytest.raises(GroovaeError, match="non-finite"):
        decode_zeros(folder)


def test_empty_batch_is_a_usage_error(exports: Exports) -> None:
    with pytest.raises(UsageError, match=r"encoder\.onnx .* 0"):
        OnnxNetwork(exports().folder).encode(np.zeros((0, 64, 27)), np.zeros((0, 64, 0)))


def test_latents_of_another_size_are_an_error(exports: Exports) -> None:
    with pytest.raises(GroovaeError, match=r"decoder\.onnx: .*z .*Got: 7 Expected: 6"):
        decode_zeros(exports().folder, z_size=7)


def test_damaged_or_unsupported_checkpoint_is_rejected(
    exports: Exports, native: Path, tmp_path: Path
) -> None:
    damaged, checkpoint = tmp_path / "damaged", native / "checkpoint"
    shutil.copytree(Path(exports().checkpoint).parent, damaged)
    os.truncate(next(damaged.glob("*.data-*")), 100)
    with pytest.raises(GroovaeError, match="damaged"):
        export(damaged, tmp_path / "out")
    with pytest.raises(GroovaeError, match="groovae_4bar"):
        export(checkpoint, tmp_path / "out", hparams=TINY_HPARAMS)
    with pytest.raises(GroovaeError, match="residual"):
        export(checkpoint, tmp_path / "out", hparams=SMALL_HPARAMS + ",residual_decoder=true")
    with pytest.raises(UsageError, match="uint8"):
        export(checkpoint, tmp_path / "out", dtype="uint8")
    assert os.listdir(tmp_path) == ["damaged"]


def test_missing_onnxruntime_names_the_package_to_install(
    exports: Exports, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(GroovaeError, match="pip install onnx onnxruntime"):
        OnnxNetwork(exports().folder)


# The command


def test_command_replaces_an_earlier_export(
    in_process: Groovae, exports: Exports, records: Path, tmp_path: Path
) -> None:
    train_dir = Path(exports().checkpoint).parent
    shutil.copytree(exports(CONTROLLED).folder, tmp_path / "model.onnx")
    flags = [f"--checkpoint={train_dir}", f"--examples_path={records}", "--dtype=int8"]
    result = in_process("export", "--out=model.onnx", *flags)
    assert result.returncode == 0, result.stderr
    assert result.stdout == "model.onnx\n"
    assert "compared with TensorFlow on 64 windows: same hits" in result.stderr
    assert "weights in int8: " in result.stderr
    description, _ = read_export(tmp_path / "model.onnx")
    assert (description["dtype"], description["step"]) == ("int8", 7)
    assert os.listdir(tmp_path) == ["model.onnx"]


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        ([], 2, "--out"),
        (["--out=x", "--dtype=uint8"], 2, "float32, float16, int8"),
        (["--out=x", "--format=magentajs", "--examples_path=x"], 2, "--examples_path"),
        (["--out=x"], 1, ".train"),
    ],
)
def test_wrong_flags_are_an_error_of_one_line(
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
