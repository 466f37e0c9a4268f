"""The inference-only install of requirements-lite.txt, on the oldest and the newest Python.

Each Python gets an environment of about 160 MB, which uv installs in seconds. The tests are skipped
if this Python, uv or the network is missing.
"""

import json
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SMALL_HPARAMS, a_groove
from without_tensorflow import OFFLINE

from groovae.cli.main import COMMANDS
from groovae.music.midi_writer import write_sequence

pytest.importorskip("onnx")

UNREACHABLE = ("Failed to fetch", "error sending request")

# Run an exported model on the arrays of a file, and save its outputs.
PLAY = """
import sys
import numpy as np
from groovae.model.onnx_network import OnnxNetwork
folder, given, out = sys.argv[1:]
given, network = np.load(given), OnnxNetwork(folder, 16)
mu, sigma = network.encode(given["inputs"], given["inputs"][..., :0])
likeliest, no_controls = np.zeros((len(given["z"]), 64, 9), np.float32), given["inputs"][..., :0]
decoded, _ = network.decode(given["z"], likeliest, no_controls)
np.savez(out, mu=mu, sigma=sigma, decoded=decoded)
"""


def from_env_script(function: str, variable: str) -> str:
    """Return the variable that a function of scripts/env.sh sets; skip the test if it fails."""
    code = f'source scripts/env.sh; {function} && printf %s "${variable}"'
    found = subprocess.run(
        ["bash", "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    if found.returncode:
        pytest.skip(f"{function} of scripts/env.sh finds nothing")
    return found.stdout


def run_uv(*arguments: object) -> None:
    """Run uv in the repository; skip the test if it needs a network that is not there."""
    command = [from_env_script("find_uv", "uv_path"), *map(str, arguments)]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if any(words in result.stderr for words in UNREACHABLE):
        pytest.skip("there is no network to install from")
    assert result.returncode == 0, result.stderr


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A wheel of groovae."""
    folder = tmp_path_factory.mktemp("wheel")
    run_uv("build", "--quiet", "--wheel", f"--out-dir={folder}")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module", params=["3.10", "3.13"])
def python(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """The Python of an environment with the inference-only install."""
    base = from_env_script(f"find_python {request.param}", "python")
    folder = tmp_path_factory.mktemp("lite")
    run_uv("venv", "--quiet", f"--python={base}", folder)
    what = [wheel, "-r", "requirements-lite.txt"]
    run_uv("pip", "install", "--quiet", f"--python={folder}", "--no-deps", *what)
    return folder / "bin" / "python"


@pytest.fixture(scope="module")
def export(native: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The ONNX export of the native checkpoint."""
    from groovae.export.onnx import export

    folder = tmp_path_factory.mktemp("export") / "onnx"
    export(native / "checkpoint", folder, hparams=SMALL_HPARAMS)
    return folder


def run(python: Path, cwd: Path, code: str, *arguments: object) -> str:
    result = subprocess.run(
        [python, "-I", "-c", code, *map(str, arguments)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_output_equals_native_magenta(
    python: Path, native: Path, export: Path, tmp_path: Path
) -> None:
    wanted = np.load(native / "native_outputs.npz")
    run(python, tmp_path, PLAY, export, native / "native_outputs.npz", "found.npz")
    found = np.load(tmp_path / "found.npz")
    np.testing.assert_array_equal(found["decoded"][..., :9], wanted["decoded"][..., :9])
    for name in ("mu", "sigma", "decoded"):
        np.testing.assert_allclose(found[name], wanted[name], rtol=0, atol=1e-5)


def test_bundled_model_plays_offline(python: Path, tmp_path: Path) -> None:
    write_sequence(tmp_path / "take.mid", a_groove(bars=4))
    for arguments in (["sample", "--out=groove.mid"], ["reconstruct", "take.mid"]):
        assert run(python, tmp_path, OFFLINE, *arguments).endswith(".mid\n")
    assert {path.name for path in tmp_path.glob("*.mid")} == {
        *("groove.mid", "take.mid", "take-reconstruct.mid")
    }


def test_every_command_has_help(python: Path, tmp_path: Path) -> None:
    shown = run(
        python,
        tmp_path,
        "import json, sys\n"
        "from groovae.cli.main import main\n"
        "assert not any(main([command, '--help']) for command in json.loads(sys.argv[1]))",
        json.dumps([*COMMANDS]),
    )
    assert shown.count("Usage: groovae ") == len(COMMANDS)
