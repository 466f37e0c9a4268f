"""Checkpoints rebuilt from ONNX exports have the same weights, and give the same exports."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Export, Groovae, assert_one_line
from web_export import LAYERED, random_train_dir, read_weights

from groovae.config import config_map
from groovae.config.config_map import CONFIG_MAP
from groovae.config.description import check_layout
from groovae.export import magentajs
from groovae.export.onnx_graphs import ModelGraphs
from groovae.export.onnx_import import import_export, read_tensors
from groovae.generation.bundled import find_bundled
from groovae.generation.networks import load_network, prior_path
from groovae.model.checkpoints import model_tensors, need_checkpoint, training_step
from groovae.model.checksums import checksums_of
from groovae.model.onnx_network import OnnxNetwork
from groovae.model.prior import Prior, write_prior
from groovae.system.packages import need_package

onnx: Any = need_package("onnx")

FILES = ("encoder.onnx", "decoder.onnx")
BUNDLED = "groovae_2bar_humanize_hits"


def write_graphs(
    folder: Path, tensors: dict[str, np.ndarray], controls: int, dtype: str
) -> dict[str, Any]:
    """Write the models of an export, without config.json, and return their checksums."""
    for name, model in ModelGraphs(tensors, controls, dtype).models({}).items():
        (folder / name).write_bytes(model.SerializeToString())
    return checksums_of(folder, FILES)


def assert_same(found: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    assert found.keys() == expected.keys()
    for name, value in found.items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, expected[name], err_msg=name)


@pytest.mark.parametrize("config", CONFIG_MAP)
def test_weights_of_every_config_are_those_of_the_checkpoint(config: str, tmp_path: Path) -> None:
    expected = model_tensors(random_checkpoint(tmp_path, config))
    controls = config_map.layout(config).control_depth
    checksums = write_graphs(tmp_path, expected, controls, "float32")
    assert_same(read_tensors(tmp_path, checksums), expected)


def random_checkpoint(folder: Path, config: str) -> str:
    return random_train_dir(folder, config, LAYERED)


@pytest.mark.parametrize("dtype", ["float16", "int8"])
def test_small_weights_are_read_as_the_float32_values_that_they_stand_for(
    dtype: str, tmp_path: Path
) -> None:
    tensors = model_tensors(random_checkpoint(tmp_path, "groovae_4bar"))
    first = read_tensors(tmp_path, write_graphs(tmp_path, tensors, 0, dtype))
    for name, value in first.items():
        if value.ndim == 1:
            np.testing.assert_array_equal(value, tensors[name])
        elif dtype == "float16":
            np.testing.assert_array_equal(value, tensors[name].astype(np.float16))
        else:
            assert np.abs(value - tensors[name]).max() <= np.abs(tensors[name]).max() / 127
    assert_same(read_tensors(tmp_path, write_graphs(tmp_path, first, 0, "float32")), first)


@pytest.fixture(scope="module")
def imported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkpoint of a bundled model, which was exported by an earlier version."""
    folder = tmp_path_factory.mktemp("imported") / "humanize"
    import_export(BUNDLED, folder)
    return folder


def test_bundled_model_is_exported_again_bit_for_bit(imported: Path, tmp_path: Path) -> None:
    bundled = Path(str(find_bundled(BUNDLED)))
    description = json.loads((bundled / "config.json").read_text())
    prefix = need_checkpoint(imported)
    assert training_step(prefix) == description["step"]
    saved = config_map.read_config(imported)
    assert saved is not None
    assert {key: saved[key] for key in ("config", "hparams", "data_converter")} == {
        key: description[key] for key in ("config", "hparams", "data_converter")
    }
    controls = check_layout(description["layout"]).control_depth
    again = tmp_path / "again"
    shutil.copytree(bundled, again)
    metadata = {p.key: p.value for p in onnx.load(bundled / "encoder.onnx").metadata_props}
    for name, model in ModelGraphs(model_tensors(prefix), controls).models(metadata).items():
        (again / name).write_bytes(model.SerializeToString())
    description["files"] = checksums_of(again, description["files"])
    (again / "config.json").write_text(json.dumps(description))
    ours, theirs = OnnxNetwork(again, 4), OnnxNetwork(bundled, 4)
    random = np.random.RandomState(1)
    windows = random.random_sample((4, 32, 27)).astype(np.float32)
    context = random.randint(0, 2, (4, 32, controls)).astype(np.float32)
    encoded = zip(*(each.encode(windows, context) for each in (ours, theirs)), strict=True)
    for found, expected in encoded:
        np.testing.assert_array_equal(found, expected)
    z, noise = random.randn(4, ours.z_size), random.randn(4, 32, 9).astype(np.float32)
    decoded = zip(*(each.decode(z, noise, context) for each in (ours, theirs)), strict=True)
    for found, expected in decoded:
        np.testing.assert_array_equal(found, expected)


def test_trained_model_is_imported_with_its_prior(
    trained_for: Callable[[str], Path], exported: Export, in_process: Groovae, tmp_path: Path
) -> None:
    export = Path(shutil.copytree(exported("sample"), tmp_path / "drums.onnx"))
    network = load_network(export, None, "", None, 4)
    ones = np.ones((1, network.z_size), np.float32)
    prior = Prior(np.ones(1, np.float32), ones, ones, ("funk",), network.fingerprint(), 100)
    write_prior(prior_path(network), prior)
    result = in_process("import", export, "mine")
    assert result.returncode == 0, result.stderr
    assert result.stdout == "mine\n"
    expected = model_tensors(need_checkpoint(trained_for("sample")))
    assert_same(model_tensors(need_checkpoint(tmp_path / "mine")), expected)
    model = load_network(tmp_path / "mine", None, "", None, 4)
    assert prior_path(model).is_file()
    magentajs.export(tmp_path / "mine", tmp_path / "web")
    stored = {value.tobytes() for value in read_weights(tmp_path / "web").values()}
    assert stored == {value.tobytes() for value in expected.values()}
    again = in_process("import", export, "mine")
    assert_one_line(again, 1, "mine", "not an empty folder")


def test_other_folders_are_refused(in_process: Groovae, trained: Path) -> None:
    assert_one_line(in_process("import", trained, "mine"), 1, "config.json", "not", "export")
    assert_one_line(in_process("import", "gone", "mine"), 1, "gone")
    assert_one_line(in_process("import", "gone"), 2, "TRAIN_DIR")
