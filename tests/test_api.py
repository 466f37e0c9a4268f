"""The public names of the package."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import a_groove

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


def test_every_public_name_is_there_twice():
    for name in groovae.__all__:
        assert getattr(groovae, name) is getattr(groovae, name), name
        if name != "__version__":
            assert type(getattr(groovae, name)).__name__ != "module", name
    assert set(groovae.__all__) <= set(dir(groovae))


# Grooves as arguments


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The bundled model, with the check that it was trained for a task switched off."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("groovae.generation.groove_model.check_task", lambda *_: None)
    return groovae.load_model(seed=1)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_takes_a_path_where_it_takes_a_sequence(model: Any, method: str) -> None:
    groovae.write_sequence("groove.mid", a_groove())
    given = []
    for groove in (groovae.read_sequence("groove.mid"), "groove.mid", Path("groove.mid")):
        model.restart()
        given.append(METHODS[method](model, groove))
    assert given[0] == given[1] == given[2]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("wrong", [None, 3, [1.0]])
def test_a_model_refuses_what_is_no_groove(model: Any, method: str, wrong: object) -> None:
    with pytest.raises(groovae.UsageError, match=f"NoteSequence.*{type(wrong).__name__}"):
        METHODS[method](model, wrong)


@pytest.mark.parametrize("name", WRITERS)
def test_a_writer_refuses_a_path_for_a_sequence(name: str, tmp_path: Path) -> None:
    if name == "write_wav":
        pytest.importorskip("tinysoundfont")
    with pytest.raises(groovae.UsageError, match="NoteSequence, got str"):
        WRITERS[name]("groove.mid", tmp_path)
    assert not list(tmp_path.iterdir())
