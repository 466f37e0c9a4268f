"""docs/quickstart.ipynb, executed in a temporary folder with fewer and smaller steps."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import ROOT, TINY_HPARAMS
from nbclient import NotebookClient

pytestmark = pytest.mark.slow  # every test, so that one worker runs the notebook once

NOTEBOOK = ROOT / "docs" / "quickstart.ipynb"
FEWER_STEPS = {"num_steps=400": "num_steps=12", "num_steps=200": "num_steps=6"}


@pytest.fixture(scope="module")
def executed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("tinysoundfont")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    shorten(notebook)
    folder = tmp_path_factory.mktemp("notebook")
    # The user's own settings must not matter, nor be written to.
    home = {"HOME": str(folder), "IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": str(ROOT)}
    env = {**os.environ, **home}
    # A new home has no font cache, and Matplotlib says so if it takes over 5 seconds to build.
    subprocess.run([sys.executable, "-c", "import matplotlib.font_manager"], env=env, check=True)
    client = NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    )
    client.execute(env=env)
    return notebook, folder


def shorten(notebook: Any) -> None:
    """Train a smaller model for fewer steps; a cell does not depend on their number."""
    for steps, fewer in FEWER_STEPS.items():
        (cell,) = [cell for cell in notebook.cells if steps in cell.source]
        assert "hparams=HPARAMS" in cell.source
        cell.source = cell.source.replace(steps, fewer).replace(
            "hparams=HPARAMS", f'hparams="{TINY_HPARAMS}"'
        )


def outputs_of(notebook: Any) -> dict[str, list[Any]]:
    """Return the outputs of each code cell by its source."""
    return {cell.source: cell.outputs for cell in notebook.cells if cell.cell_type == "code"}


def mime_types(notebook: Any, words: str) -> set[str]:
    """Return the MIME types that the one cell with these words shows."""
    (shown,) = [outputs for source, outputs in outputs_of(notebook).items() if words in source]
    return {mime_type for output in shown for mime_type in output.get("data", {})}


def test_every_cell_runs_without_warnings(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    for source, outputs in outputs_of(notebook).items():
        logged = [output["text"] for output in outputs if output.get("name") == "stderr"]
        # The shortened training is less than an epoch.
        assert not [text for text in logged if "expect poor grooves" not in text], source


def test_table_pictures_and_sound_are_shown(executed: tuple[Any, Path]) -> None:
    notebook, _ = executed
    assert "text/html" in mime_types(notebook, "info.groupby")
    for words in ("curve.plot", "a groove of my own model", "the same hits, played"):
        assert "image/png" in mime_types(notebook, words)
    assert "text/html" in mime_types(notebook, "Audio(")


def test_groove_and_models_are_written(executed: tuple[Any, Path]) -> None:
    _, folder = executed
    for name in ("groove.mid", "train/model.ckpt-12.index", "humanize/model.ckpt-6.index"):
        assert (folder / "quickstart" / name).is_file()


def test_notebook_is_short_and_has_no_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert len(code) == 10
    assert all(len(cell.source.splitlines()) <= 12 and not cell.outputs for cell in code)
