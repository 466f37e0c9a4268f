"""What docs/from-the-notebook.md promises: names of Magenta's arguments, imports, progress."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import ROOT, a_groove
from nbclient import NotebookClient

import groovae
from groovae.config.layout import LAYOUTS
from groovae.errors import UsageError
from groovae.generation.bundled import FOLDER
from groovae.generation.magenta_names import translate
from groovae.music.midi_writer import write_sequence


def test_methods_take_the_names_of_magenta() -> None:
    ours: Any
    theirs: Any  # type checkers know our names only
    ours, theirs = (groovae.load_model(FOLDER, seed=5) for _ in range(2))
    assert ours.sample(num_outputs=2, bars=2) == theirs.sample(n=2, length=32)
    z = ours.encode(a_groove())
    assert ours.decode(z, bars=2) == theirs.decode(z, length=32)
    assert len(theirs.sample(n=1, length=None)) == 1


@pytest.mark.parametrize(
    "arguments",
    [{"n": 1, "num_outputs": 1}, {"length": 16, "bars": 1}, {"length": 17}, {"length": 16.0}],
)
def test_ambiguous_names_are_refused(arguments: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"num_outputs|bars|multiple of 16"):
        translate(LAYOUTS["groovae_4bar"], arguments)


def test_convert_directory_takes_recursive(tmp_path: Path) -> None:
    (tmp_path / "in" / "below").mkdir(parents=True)
    write_sequence(tmp_path / "in" / "below" / "a.mid", a_groove())
    report = groovae.convert_directory(tmp_path / "in", tmp_path / "out.tfrecord", recursive=True)
    assert report.records == 1
    with pytest.raises(UsageError, match="recursive"):
        groovae.convert_directory(tmp_path / "in", tmp_path / "out.tfrecord", recursive=False)


def test_only_magenta_selects_keras_2(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TF_USE_LEGACY_KERAS", "0")
    for name, value in (("keras", "0"), ("magenta", "1")):
        monkeypatch.delitem(sys.modules, name, raising=False)
        importlib.util.find_spec(name)
        assert os.environ["TF_USE_LEGACY_KERAS"] == value


def test_plain_magenta_is_imported_and_unbatch_still_crashes() -> None:
    result = subprocess.run(
        [
            sys.executable,
            "-c",
            "import groovae\n"
            "import numpy as np\n"
            "import tensorflow.compat.v1 as tf\n"
            "from magenta.models.music_vae import configs, data\n"
            "from magenta.models.music_vae.trained_model import TrainedModel\n"
            "dataset = tf.data.Dataset.from_tensors(np.zeros((3, 64, 0)))\n"
            "parts = dataset.flat_map(lambda *t: tf.data.Dataset.from_tensor_slices(t))\n"
            "print(len(configs.CONFIG_MAP) > 9, len(list(parts)), flush=True)\n"
            "list(dataset.unbatch())",
        ],
        capture_output=True,
        text=True,
        env={**os.environ, "TF_USE_LEGACY_KERAS": "0"},
        check=False,
    )
    assert result.stdout == "True 3\n", result.stderr
    assert result.returncode < 0


def test_progress_is_shown_in_notebooks_without_warnings(tmp_path: Path) -> None:
    notebook = nbformat.v4.new_notebook()
    source = (
        "import groovae.system.progress as progress\n"
        "with progress.counter_in_notebook('step') as show:\n    show(1, 2); show(2, 2)\n"
        "progress.in_notebook()"
    )
    notebook.cells.append(nbformat.v4.new_code_cell(source))
    home = {"HOME": str(tmp_path), "IPYTHONDIR": str(tmp_path), "PYTHONPATH": str(ROOT)}
    client = NotebookClient(notebook, timeout=120, kernel_name="python3")
    client.execute(env={**os.environ, **home})
    *shown, result = notebook.cells[0].outputs
    assert result["data"]["text/plain"] == "True"
    assert shown
    assert "stderr" not in {output.get("name") for output in shown}


def test_progress_is_silent_without_a_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    from groovae.system.progress import counter_in_notebook, progress_bar

    with counter_in_notebook("step") as show, progress_bar(total=2) as bar:
        show(1, 2)
        bar.update()
    assert capfd.readouterr() == ("", "")
