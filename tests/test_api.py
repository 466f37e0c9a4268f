"""The public names of the package."""

import pydoc
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import a_groove
from without_tensorflow import run_blocked

import groovae

METHODS: dict[str, Callable[[Any, Any], Any]] = {
    "encode": lambda model, groove: model.encode(groove).tolist(),
    "reconstruct": lambda model, groove: model.reconstruct(groove),
    "interpolate": lambda model, groove: model.interpolate(groove, groove, 2),
    "vary": lambda model, groove: model.vary(groove),
    "compare": lambda model, groove: model.compare(groove, groove),
    "humanize": lambda model, groove: model.humanize(groove),
    "transfer": lambda model, groove: model.transfer(groove, groove),
    "tap2drum": lambda model, groove: model.tap2drum(groove),
    "add_hihat": lambda model, groove: model.add_hihat(groove),
}
WRITERS: dict[str, Callable[[Any, Path], Any]] = {
    "draw": lambda groove, folder: groovae.draw(folder / "x.png", groove),
    "figure": lambda groove, folder: groovae.figure(groove),
    "play": lambda groove, folder: groovae.play(groove),
    "preview": lambda groove, folder: groovae.preview(groove),
    "write_sequence": lambda groove, folder: groovae.write_sequence(folder / "x.mid", groove),
    "write_wav": lambda groove, folder: groovae.write_wav(folder / "x.wav", groove),
}


# Names


def test_public_names_are_imported_on_use() -> None:
    for name in groovae.__all__:
        assert getattr(groovae, name) is getattr(groovae, name), name
        assert (type(getattr(groovae, name)) is ModuleType) == (name == "configs"), name
    assert set(groovae.__all__) <= set(dir(groovae))
    with pytest.raises(AttributeError, match="lode_model"):
        groovae.__getattr__("lode_model")


def test_configs_have_the_import_paths_of_magenta() -> None:
    from groovae import configs

    assert configs is groovae.__getattr__("configs")
    assert configs.CONFIG_MAP is groovae.CONFIG_MAP
    assert set(configs.__all__) <= set(groovae.__all__)


def test_the_docstring_lists_each_public_name() -> None:
    listed = re.findall(r"^    (\w+) +[A-Z].*\.$", groovae.__doc__, re.M)
    assert sorted(listed) == sorted(groovae._PUBLIC)


def test_help_shows_each_public_name() -> None:
    text = pydoc.plain(pydoc.render_doc(groovae))
    classes, functions = text.split("\nCLASSES\n")[1].split("\nFUNCTIONS\n")
    for name in groovae._PUBLIC.keys() - {"configs"}:
        assert re.search(rf"^    (class )?{name}\b", f"{classes}\n{functions}", re.M), name


def test_help_works_without_tensorflow() -> None:
    shown = run_blocked(
        "import importlib.util, pydoc\n"
        "find_spec = importlib.util.find_spec\n"
        "importlib.util.find_spec = lambda name: None if name in HEAVY[:4] else find_spec(name)\n"
        "import groovae\n"
        "print(pydoc.plain(pydoc.render_doc(groovae)))"
    )
    assert shown.returncode == 0, shown.stderr
    assert "    load_model(" in shown.stdout


# Types

USER_SCRIPT = f"""\
from pathlib import Path

import groovae
from groovae import {", ".join(groovae._PUBLIC)}
from groovae.configs import CONFIG_MAP, get_config

model: groovae.GrooveModel = groovae.load_model(".train", seed=7)
take = groovae.read_sequence(Path("take.mid"))
moved_ms: float = groovae.write_sequence("again.mid", model.humanize(take), pickup=True)
text: str = groovae.preview(model.sample(num_outputs=2, temperature=0.5)[0])
names: list[str] = sorted(CONFIG_MAP) + [groovae.__version__]
print(moved_ms, text, names, get_config("groovae_4bar"))
"""
WRONG_CALLS = """\
groovae.load_model(seed="x")
groovae.lode_model()
groovae.write_sequence(5, take)
model.sample(beats=4)
number: int = groovae.preview(take)
"""

# It takes longer to check than groovae.
WITHOUT_NUMPY = """\
[mypy]
[mypy-numpy.*]
follow_imports = skip
follow_imports_for_stubs = True
"""


def test_a_type_checker_sees_the_types_of_public_names(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    (tmp_path / "user.py").write_text(USER_SCRIPT + WRONG_CALLS)
    (tmp_path / "mypy.ini").write_text(WITHOUT_NUMPY)
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "user.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    errors = re.findall(r"^user.py:(\d+): error: ", result.stdout, re.M)
    first = USER_SCRIPT.count("\n") + 1
    assert [*map(int, errors)] == [first + i for i in range(5)], result.stdout + result.stderr


# Grooves as arguments


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The bundled model, with the check that it was trained for a task switched off."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("groovae.generation.base_model.check_task", lambda *_: None)
    return groovae.load_model(seed=1)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_takes_a_path_where_it_takes_a_sequence(model: Any, method: str) -> None:
    groovae.write_sequence("groove.mid", a_groove())
    given = []
    for groove in (groovae.read_sequence("groove.mid"), "groove.mid", Path("groove.mid")):
        model.reset_random()
        given.append(METHODS[method](model, groove))
    assert given[0] == given[1] == given[2]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrong", [None, 3, [1.0]])
def test_a_model_refuses_values_that_are_not_grooves(
    model: Any, method: str, wrong: object
) -> None:
    with pytest.raises(groovae.UsageError, match=f"NoteSequence.*{type(wrong).__name__}"):
        METHODS[method](model, wrong)


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_refuses_a_path_for_a_sequence(name: str, tmp_path: Path) -> None:
    if name == "write_wav":
        pytest.importorskip("tinysoundfont")
    with pytest.raises(groovae.UsageError, match="NoteSequence, got str"):
        WRITERS[name]("groove.mid", tmp_path)
    assert not list(tmp_path.iterdir())
