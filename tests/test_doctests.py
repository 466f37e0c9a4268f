"""The examples in docstrings run and give what they show."""

import doctest
import importlib
import re
from pathlib import Path

import pytest
from conftest import ROOT

# Found by text, so that collecting the tests imports no module and none without an example is.
MODULES = [
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
    for path in sorted((ROOT / "groovae").rglob("*.py"))
    if re.search(r"^\s*>>> ", path.read_text(), re.M)
]


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)  # for examples that write files
    results = doctest.testmod(
        importlib.import_module(name),
        optionflags=doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS,
    )
    assert results.attempted, "the `>>>` is in no docstring that doctest reads"
    assert not results.failed, capsys.readouterr().out
