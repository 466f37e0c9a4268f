"""The command line: help, wrong calls, flag files."""

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from absl import flags
from conftest import ROOT, Groovae, assert_one_line

import groovae as package
from groovae.cli.main import COMMANDS, main

HEAVY = ("tensorflow", "note_seq", "magenta", "tf_slim", "tf_keras")
each_command = pytest.mark.parametrize("command", COMMANDS)


def flags_of(command: str) -> flags.FlagValues:
    values = flags.FlagValues()
    values.set_gnu_getopt(True)
    importlib.import_module(f"groovae.cli.commands.{command}").define_flags(values)
    return values


def imported_by(script: str, *modules: str) -> list[str]:
    """Run a script in a new process and return which of the modules it imports."""
    show = f"; import sys; print(*[name for name in {modules} if name in sys.modules])"
    result = subprocess.run(
        [sys.executable, "-c", script + show], capture_output=True, text=True, check=True
    )
    return result.stdout.splitlines()[-1].split()


# Help


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"], ["help"]])
def test_overview_lists_every_command(in_process: Groovae, arguments: list[str]) -> None:
    result = in_process(*arguments)
    assert (result.returncode, result.stderr) == (0, "")
    for command, summary in COMMANDS.items():
        assert re.search(rf"^  {command} +{re.escape(summary)}$", result.stdout, re.M)


@each_command
def test_the_summary_is_the_first_line_of_the_docstring(command: str) -> None:
    docstring = importlib.import_module(f"groovae.cli.commands.{command}").__doc__
    assert docstring
    assert docstring.splitlines()[0] == f"groovae {command}: {COMMANDS[command]}."


def test_overview_imports_no_command() -> None:
    modules = [f"groovae.cli.commands.{command}" for command in COMMANDS]
    call = "from groovae.cli.main import main; main(['--help'])"
    assert imported_by(call, *modules, "numpy", *HEAVY) == []


def test_version_is_that_of_the_package(groovae: Groovae) -> None:
    result = groovae("--version")
    assert (result.returncode, result.stdout) == (0, f"groovae {package.__version__}\n")


@each_command
def test_help_lists_each_flag_with_its_default(in_process: Groovae, command: str) -> None:
    result = in_process(command, "--help")
    assert (result.returncode, result.stderr) == (0, "")
    assert in_process("help", command).stdout == result.stdout
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


@each_command
def test_help_does_not_import_tensorflow(command: str) -> None:
    call = f"from groovae.cli.main import main; main(['{command}', '--help'])"
    assert imported_by(call, *HEAVY) == []


def test_importing_the_package_does_not_import_tensorflow() -> None:
    assert imported_by("import groovae; dir(groovae), groovae.write_midi", *HEAVY) == []


# Wrong calls


@pytest.mark.parametrize(
    ("call", "words"),
    [
        ("trian", ["'trian'", "did you mean train?", "groovae --help"]),
        ("zzzzzz", ["'zzzzzz'; see groovae --help"]),
        ("--json info", ["command", "--json"]),
        ("sample --temprature=1", ["--temprature", "did you mean --temperature?"]),
        ("info . --zzzzzz", ["--zzzzzz; see groovae info --help"]),
        ("train --num_steps=many", ["--num_steps=many"]),
        ("train --num_steps=-1", ["--num_steps=-1"]),
        ("sample --bpm=3", ["--bpm=3"]),
        ("sample --bpm=nan", ["--bpm", "number"]),
        ("sample --temperature=-1", ["--temperature=-1", "0 or more"]),
        ("sample --temperature=nan", ["--temperature=nan", "0 or more"]),
        ("sample --expectation=mean", ["--expectation=mean", "hit|all"]),
        ("sample --num_outputs=0", ["--num_outputs=0"]),
        ("sample --out", ["--out"]),
        ("info . --json=perhaps", ["--json=perhaps"]),
        ("info . --nojson=true", ["--nojson=true"]),
        ("info", ["FILE.tfrecord or MODEL missing"]),
        ("info a b", ["'b'"]),
        ("preprocess", ["DIR and OUT.tfrecord missing"]),
        ("preprocess a", ["OUT.tfrecord missing"]),
        ("preprocess a b c", ["'c'"]),
        ("train 50000", ["'50000'", "--"]),
        ("train --tfds_name=groove --examples_path=x", ["--tfds_name", "--examples_path"]),
        ("info . --flagfile=missing.flags", ["missing.flags"]),
        ("info . --flagfile=.", ["'.'"]),
        ("info . --flagfile", ["--flagfile"]),
    ],
)
def test_a_wrong_call_is_one_line_and_exit_code_2(
    in_process: Groovae, call: str, words: list[str]
) -> None:
    result = in_process(*call.split())
    assert_one_line(result, 2, *words)
    assert len(result.stderr.splitlines()) == 1
    assert result.stdout == ""


def test_flags_may_follow_the_arguments(groovae: Groovae, small_dataset: Path) -> None:
    assert json.loads(groovae("info", small_dataset, "--json").stdout)["files"] == 3


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "hit"),
        (["--as_hits"], "hit"),
        (["--as_hits=false"], "all"),
        (["--expectation=hit"], "hit"),
        (["--expectation=hit", "--noas_hits"], "all"),
        (["--as_hits", "--expectation=all"], "all"),
    ],
)
@pytest.mark.parametrize(
    "command", ["sample", "reconstruct", "interpolate", "vary", "evaluate", "report"]
)
def test_as_hits_is_an_alias_of_expectation(
    command: str, arguments: list[str], expected: str
) -> None:
    values = flags_of(command)
    values(["", *arguments])
    assert values.expectation == expected
    assert bool(values["expectation"].present) == bool(arguments)


# Flag files


def test_a_flag_file_may_have_comments(in_process: Groovae, small_dataset: Path) -> None:
    (small_dataset / "a.flags").write_text("# JSON, please\n\n// as C++ has it\n--json\n")
    assert json.loads(in_process("info", small_dataset, "--flagfile=a.flags").stdout)["files"] == 3


def test_a_later_flag_overrides_a_flag_file(in_process: Groovae, small_dataset: Path) -> None:
    (small_dataset / "a.flags").write_text("--json\n")
    assert "3 files, 2.0 hours" in in_process("info", ".", "--flagfile=a.flags", "--nojson").stdout
    assert in_process("info", ".", "--nojson", "--flagfile=a.flags").stdout.startswith("{")


def test_a_binary_flag_file_is_a_wrong_call(in_process: Groovae, small_dataset: Path) -> None:
    (small_dataset / "a.flags").write_bytes(b"--json\xff\xfe\n")
    result = in_process("info", small_dataset, "--flagfile=a.flags")
    assert_one_line(result, 2, "groovae info --help")


@pytest.mark.parametrize("path", sorted(ROOT.glob("configs/*.flags")), ids=lambda path: path.name)
def test_a_preset_parses_with_the_flags_of_its_command(path: Path) -> None:
    call = re.search(
        rf"groovae (\w+) .*--flagfile=configs/{re.escape(path.name)}", path.read_text()
    )
    assert call, "the header has no command that uses the preset"
    values = flags_of(call[1])
    assert values(["groovae", f"--flagfile={path}"]) == ["groovae"]
    assert any(values[name].present for name in values)


@pytest.mark.parametrize(
    "flag", ["checkpoints_to_keep", "save_checkpoint_steps", "hop_bars", "num_steps"]
)
@pytest.mark.parametrize("value", ["2147483648", "1" + 400 * "0"], ids=len)
def test_huge_flag_value_is_a_usage_error(
    capsys: pytest.CaptureFixture[str], flag: str, value: str
) -> None:
    assert main(["train", f"--{flag}={value}"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"--{flag}" in line
    assert "see groovae train --help" in line
    assert len(line) < 200
