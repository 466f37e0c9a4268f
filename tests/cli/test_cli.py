"""The command line as a user meets it: help, wrong calls, flag files."""

import importlib
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags
from conftest import ROOT, Groovae, assert_one_line

import groovae as package
from groovae.cli.main import COMMANDS

HEAVY = ("tensorflow", "note_seq", "magenta", "tf_slim", "tf_keras")
commands = pytest.mark.parametrize("command", COMMANDS)


def flags_of(command: str) -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    importlib.import_module(f"groovae.cli.commands.{command}").define_flags(values)
    return values


def heavy_modules_after(script: str) -> str:
    show = f"; import sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script + show], capture_output=True, text=True, check=True
    )
    return result.stdout.splitlines()[-1]


# Help


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_the_overview_names_every_command(groovae: Groovae, arguments: list[str]) -> None:
    result = groovae(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    for command, summary in COMMANDS.items():
        assert re.search(rf"^  {command} +{re.escape(summary)}$", result.stdout, re.M)


def test_the_version_is_that_of_the_package(groovae: Groovae) -> None:
    result = groovae("--version")
    assert (result.returncode, result.stdout) == (0, f"groovae {package.__version__}\n")


@commands
def test_help_lists_each_flag_with_its_default(groovae: Groovae, command: str) -> None:
    result = groovae(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    entries = re.split(r"^  --(?:\[no\])?(\w+).*$", result.stdout, flags=re.M)
    text = {
        name: " ".join(lines.split())
        for name, lines in zip(entries[1::2], entries[2::2], strict=True)
    }
    values = flags_of(command)
    for name in values:
        assert values[name].help.split()[0] in text[name]
        if values[name].default not in (None, "", []):
            assert text[name].endswith(f"(default: {str(values[name].default).lower()})"), name
    assert set(text) - set(values) == {"debug", "help", "flagfile"}


@commands
def test_help_has_examples_that_parse(groovae: Groovae, command: str) -> None:
    help_text = groovae(command, "--help").stdout
    assert help_text.startswith(f"groovae {command}: ")
    examples = re.findall(rf"^  groovae {command}( .*|)$", help_text.split("Examples:\n")[1], re.M)
    assert len(examples) >= 2
    for example in examples:
        flags_of(command)(["", *shlex.split(example.replace("=configs/", f"={ROOT}/configs/"))])


@commands
def test_help_does_not_wait_for_tensorflow(command: str) -> None:
    assert (
        heavy_modules_after(f"from groovae.cli.main import main; main(['{command}', '--help'])")
        == ""
    )


def test_importing_the_package_is_light() -> None:
    assert heavy_modules_after("import groovae; dir(groovae), groovae.write_midi") == ""


# Wrong calls


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("trian", ["no command 'trian'", "did you mean train?", "groovae --help"]),
        ("zzzzzz", ["no command 'zzzzzz'; see groovae --help"]),
        ("--json info", ["the command comes first", "--json"]),
        ("sample --temprature=1", ["no flag --temprature", "did you mean --temperature?"]),
        ("info . --zzzzzz", ["no flag --zzzzzz; see groovae info --help"]),
        ("train --num_steps=many", ["--num_steps=many"]),
        ("train --num_steps=-1", ["--num_steps=-1"]),
        ("sample --bpm=3", ["--bpm=3"]),
        ("sample --bpm=nan", ["--bpm must be a number"]),
        ("sample --temperature=-1", ["--temperature=-1", "must be 0 or more"]),
        ("sample --temperature=nan", ["--temperature=nan", "must be 0 or more"]),
        ("sample --num_outputs=0", ["--num_outputs=0"]),
        ("sample --out", ["--out"]),
        ("info . --json=perhaps", ["--json=perhaps"]),
        ("info . --nojson=true", ["--nojson=true"]),
        ("info", ["DIR or FILE.tfrecord missing"]),
        ("info a b", ["'b'"]),
        ("preprocess", ["DIR and OUT.tfrecord missing"]),
        ("preprocess a", ["OUT.tfrecord missing"]),
        ("preprocess a b c", ["'c'"]),
        ("train 50000", ["'50000'", "a flag begins with --"]),
        ("info . --flagfile=missing.flags", ["missing.flags"]),
        ("info . --flagfile=.", ["'.'"]),
        ("info . --flagfile", ["--flagfile"]),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    groovae: Groovae, call: str, words: list[str]
) -> None:
    result = groovae(*call.split())
    assert_one_line(result, 2, *words)
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_flags_may_follow_the_arguments(groovae: Groovae, small_dataset: Path) -> None:
    assert json.loads(groovae("info", small_dataset, "--json").stdout)["files"] == 3


# Flag files


def test_a_flag_file_may_have_comments(groovae: Groovae, small_dataset: Path) -> None:
    (small_dataset / "a.flags").write_text("# JSON, please\n\n// as C++ has it\n--json\n")
    assert json.loads(groovae("info", small_dataset, "--flagfile=a.flags").stdout)["files"] == 3


def test_a_later_flag_wins_over_a_flag_file(groovae: Groovae, small_dataset: Path) -> None:
    (small_dataset / "a.flags").write_text("--json\n")
    assert "3 files, 2.0 hours" in groovae("info", ".", "--flagfile=a.flags", "--nojson").stdout
    assert groovae("info", ".", "--nojson", "--flagfile=a.flags").stdout.startswith("{")


def test_a_flag_file_that_is_not_text_is_a_wrong_call(
    groovae: Groovae, small_dataset: Path
) -> None:
    (small_dataset / "a.flags").write_bytes(b"--json\xff\xfe\n")
    assert_one_line(groovae("info", small_dataset, "--flagfile=a.flags"), 2, "groovae info --help")


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.flags")), ids=lambda path: path.name)
def test_a_preset_parses_with_the_flags_of_its_command(path: Path) -> None:
    call = re.search(
        rf"groovae (\w+) .*--flagfile=configs/{re.escape(path.name)}", path.read_text()
    )
    assert call, "its header tells how to use it"
    values = flags_of(call[1])
    assert values(["groovae", f"--flagfile={path}"]) == ["groovae"]
    assert any(values[name].present for name in values)
