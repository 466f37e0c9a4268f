"""README, docs/, presets and help: complete, and naming only files, flags and names that exist."""

import re
import shlex
from pathlib import Path

import docs_pages
import pytest
from absl import flags
from conftest import ROOT

import groovae
from groovae.cli.main import COMMANDS, main

PAGES = [
    *(ROOT / name for name in docs_pages.ROOT_PAGES),
    *(ROOT / name for name in ("data_dir/README.md", "NOTICE")),
    *sorted((ROOT / "docs").glob("*.md")),
]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
PRESETS = sorted((ROOT / "configs").glob("*.flags"))

FENCE = re.compile(r"^```\w*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
INLINE = re.compile(r"`(groovae\s[^`]+)`")
FILE = re.compile(
    r"\b(?:configs|docs|groovae|scripts|tests)/(?:[a-z]\w*/)*[a-z_]\w*\.(?:flags|ipynb|md|py|sh)\b"
)


def parse(line: str) -> None:
    """Parse the flags of a command line, without running it."""
    name, *arguments = shlex.split(line, comments=True)[1:]
    values = docs_pages.flags_of(docs_pages.commands()[name])
    for builtin in ("debug", "help"):
        flags.DEFINE_bool(builtin, False, "", flag_values=values)
    values([name, *arguments])


def command_lines(text: str) -> list[str]:
    """Return the command lines `groovae COMMAND ...` of a page, in code blocks and in sentences."""
    blocks = "\n".join(FENCE.findall(text)).replace("\\\n", " ")
    lines = [line.strip() for line in blocks.splitlines() if line.startswith("groovae ")]
    sentences = [" ".join(found.split()) for found in INLINE.findall(FENCE.sub("", text))]
    return [
        line for line in [*lines, *sentences] if line.split()[1] in COMMANDS and "..." not in line
    ]


def examples(docstring: str) -> list[str]:
    """Return the command lines below `Examples:` in the help of a command."""
    text = docstring.partition("Examples:\n")[2].partition("\n\n")[0].replace("\\\n", " ")
    return [line.strip() for line in text.splitlines()]


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_help_and_examples_that_parse(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)  # where --flagfile=configs/... is
    docstring = docs_pages.commands()[name].__doc__
    assert docstring.startswith(f"groovae {name}: ")
    assert f"\nUsage: groovae {name}" in docstring
    lines = examples(docstring)
    assert len(lines) >= 2
    for line in lines:
        assert line.startswith(f"groovae {name}")
        parse(line)
    assert main([name, "--help"]) == 0
    assert docstring.strip() in capsys.readouterr().out


def test_every_command_is_documented(capsys: pytest.CaptureFixture[str]) -> None:
    reference = docs_pages.command_reference()
    assert main(["--help"]) == 0
    overview = capsys.readouterr().out
    modules = (ROOT / "groovae" / "cli" / "commands").glob("[a-z]*.py")
    assert {module.stem for module in modules} == set(COMMANDS)
    for name in COMMANDS:
        assert f"\n## groovae {name}\n" in reference
        assert re.search(rf"^  {name} ", overview, re.MULTILINE)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_flag_has_help(name: str) -> None:
    values = docs_pages.flags_of(docs_pages.commands()[name])
    assert all((values[flag].help or "").strip() for flag in values)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_commands_in_pages_parse(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for line in command_lines(page.read_text("utf-8")):
        parse(line)


@pytest.mark.parametrize("preset", PRESETS, ids=lambda preset: preset.name)
def test_presets_and_their_comments_parse(preset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    comments = [line.removeprefix("#") for line in preset.read_text("utf-8").splitlines()]
    commands = [line.strip() for line in comments if line.strip().startswith("groovae ")]
    assert f"groovae train --flagfile=configs/{preset.name}" in commands
    for line in commands:
        parse(line)


@pytest.mark.parametrize("page", PAGES, ids=NAMES)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text("utf-8")
    for link in docs_pages.links(text):
        assert (page.parent / link).exists(), link
    for name in FILE.findall(text):
        assert (ROOT / name).exists(), name


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").splitlines()) <= 150


def test_every_module_is_described() -> None:
    described = docs_pages.modules()
    assert {name for name, line in described.items() if not line} == set()
    listed = docs_pages.module_list()
    for name in described:
        assert f"[`{name}`]" in listed


def test_every_public_name_is_documented() -> None:
    api = docs_pages.public_api()
    for name in set(groovae.__all__) - {"__version__", "configs"}:
        assert f".{name}\n" in api


def test_five_changes_take_three_files_at_most() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    table = text.partition("## Five changes")[2].partition("\n#")[0]
    rows = [FILE.findall(line) for line in table.splitlines() if FILE.search(line)]
    assert len(rows) == 5
    assert all(1 <= len(row) <= 3 for row in rows)


@pytest.mark.parametrize(
    "page", ["architecture", "add-a-task", "add-a-metric", "add-an-export-format"]
)
def test_names_in_instructions_exist(page: str) -> None:
    files = [file for folder in ("groovae", "tests") for file in (ROOT / folder).rglob("*.py")]
    source = "".join(file.read_text("utf-8") for file in files)
    text = FENCE.sub("", (ROOT / "docs" / f"{page}.md").read_text("utf-8"))
    names = re.findall(r"`(?:\w+\.)*(\w*[a-z]\w*|[A-Z]+_[A-Z_]+)`", text)
    assert names
    for name in names:
        assert re.search(rf"\b{name}\b", source), name


def test_notebook_is_linked_and_the_picture_of_the_packages_is_complete() -> None:
    picture = (ROOT / "docs" / "house.svg").read_text("utf-8")
    packages = {name.split(".")[1] for name in docs_pages.modules() if "." in name}
    packages -= {"__main__", "configs"}  # faces of cli and config
    for package in packages:
        assert f">{package}</text>" in picture
    assert "quickstart.ipynb" in docs_pages.links((ROOT / "docs" / "quickstart.md").read_text())
