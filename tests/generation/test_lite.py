"""An exported model gives the same grooves as its checkpoint, without TensorFlow and Magenta.

An audit hook blocks the imports, and not an import finder, since `note_sequence` may look for the
files of note_seq.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import QUICK_HPARAMS, Export, a_groove, assert_one_line
from without_tensorflow import SAME_NOTE_SEQUENCE, run_blocked

from groovae import load_model
from groovae.cli.main import main
from groovae.errors import UsageError
from groovae.music.midi_magenta import read_magenta
from groovae.music.midi_writer import write_sequence
from groovae.music.note_sequence import NoteSequence

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

# The arguments of each command; the files are those of the fixture `files`.
COMMANDS = {
    "sample": ["--bars=9", "--num_outputs=3", "--temperature=1"],
    "reconstruct": ["beat.mid", "--temperature=1"],
    "interpolate": ["beat.mid", "other.mid", "--num_steps=3", "--temperature=1"],
    "vary": ["beat.mid", "--num_outputs=2", "--temperature=1"],
    "humanize": ["beat.mid"],
    "tap2drum": ["beat.mid"],
    "add_hihat": ["beat.mid"],
    "transfer": ["--groove=beat.mid", "--beat=other.mid", "--temperature=0.5"],
}


@pytest.fixture
def files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two beats, as the current directory."""
    write_sequence(tmp_path / "beat.mid", a_groove(bars=6))
    write_sequence(tmp_path / "other.mid", a_groove(bars=5, first_at=0.02, velocity=77))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def notes_of(path: Path) -> np.ndarray:
    """Return the pitch, velocity, start and end in seconds of each note, sorted."""
    notes = read_magenta(path.read_bytes()).notes
    rows = [(note.pitch, note.velocity, note.start_time, note.end_time) for note in notes]
    return np.array(sorted(rows)).reshape(-1, 4)


def test_onnxruntime_writes_and_reports_nothing(tmp_path: Path) -> None:
    code = "import groovae; groovae.load_model()"
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("ORT_DISABLE_TELEMETRY", None)  # set by an earlier test
    subprocess.run([sys.executable, "-c", code], env=environment, cwd=tmp_path, check=True)
    assert os.listdir(tmp_path) == []


# Equality with the checkpoint


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_give_the_same_notes_as_the_checkpoint(
    command: str, trained_for: Callable[[str], Path], exported: Export, files: Path
) -> None:
    played: dict[str, list[Path]] = {}
    for name, checkpoint in (("tensorflow", trained_for(command)), ("onnx", exported(command))):
        flags = [f"--checkpoint={checkpoint}", f"--out={name}/x.mid", "--seed=5"]
        assert main([command, *COMMANDS[command], *flags]) == 0
        played[name] = sorted((files / name).iterdir())
    assert [path.name for path in played["onnx"]] == [path.name for path in played["tensorflow"]]
    for ours, theirs in zip(played["onnx"], played["tensorflow"], strict=True):
        found, expected = notes_of(ours), notes_of(theirs)
        assert len(expected) > 5
        np.testing.assert_array_equal(found[:, 0], expected[:, 0])
        # Offsets differ by up to 1e-5, so a velocity may be rounded the other way.
        np.testing.assert_allclose(found[:, 2:], expected[:, 2:], atol=1e-3)
        np.testing.assert_allclose(found[:, 1], expected[:, 1], atol=1)


def test_latents_and_tensors_equal_the_checkpoints(
    trained_for: Callable[[str], Path], exported: Export
) -> None:
    theirs, ours = (
        load_model(one("vary"), seed=3, batch_size=8) for one in (trained_for, exported)
    )
    assert (ours.config_name, ours.layout) == (theirs.config_name, theirs.layout)
    mu, expected_mu = (model.encode(a_groove(bars=9)) for model in (ours, theirs))
    np.testing.assert_allclose(mu, expected_mu, atol=1e-5)
    tensors, expected = (model.sample_tensors(8, 4, 1.0) for model in (ours, theirs))
    np.testing.assert_array_equal(tensors[..., :9], expected[..., :9])
    np.testing.assert_allclose(tensors, expected, atol=1e-5)


def test_output_does_not_depend_on_batch_size(exported: Export) -> None:
    one, many = (
        load_model(exported("sample"), seed=3, batch_size=size).sample_tensors(5, 4, 1.0)
        for size in (1, 5)
    )
    np.testing.assert_allclose(one, many, atol=1e-5)


# Without TensorFlow


def test_commands_run_without_tensorflow(exported: Export, files: Path) -> None:
    calls = [
        [command, *arguments, f"--checkpoint={exported(command)}", f"--out={command}.mid"]
        for command, arguments in COMMANDS.items()
    ]
    result = run_blocked(
        "import json\n"
        "from groovae.cli.main import main\n"
        "assert [main(call) for call in json.loads(sys.argv[1])] == [0] * 8\n"
        "found = {name for name in sys.modules if name.split('.')[0] in HEAVY}\n"
        "assert found == {'note_seq.protobuf.music_pb2'}, found",
        json.dumps(calls),
    )
    assert result.returncode == 0, result.stderr
    assert "hits" in result.stderr
    numbered = {"sample", "interpolate", "vary"}
    assert {path.stem for path in files.glob("*.mid")} >= {*COMMANDS} - numbered


def test_preprocess_and_info_run_without_tensorflow(files: Path) -> None:
    result = run_blocked(
        "from groovae.cli.main import main\n"
        "assert main(['preprocess', '.', 'music.tfrecord', '--shards=2']) in (None, 0)\n"
        "assert main(['info', 'music.tfrecord-*']) in (None, 0)\n"
        "assert main(['info', 'beat.mid']) in (None, 0)\n"
        "found = {name for name in sys.modules if name.split('.')[0] in HEAVY}\n"
        "assert found == {'note_seq.protobuf.music_pb2'}, found",
    )
    assert result.returncode == 0, result.stderr
    assert "2 windows from 2 of 2 sequences" in result.stdout
    assert "6 bars" in result.stdout


def test_evaluate_and_report_run_without_tensorflow(files: Path) -> None:
    result = run_blocked(
        "from groovae.cli.main import main\n"
        "assert main(['preprocess', '.', 'music.tfrecord']) in (None, 0)\n"
        "data = ['--examples_path=music.tfrecord', '--baseline_examples_path=music.tfrecord']\n"
        "model = '--checkpoint=groovae_2bar_humanize_hits'\n"
        "assert main(['evaluate', '--metrics', model, *data]) == 0\n"
        "assert main(['report', '--num_pairs=1', '--num_shown=1', *data]) in (None, 0)\n"
        "found = {name for name in sys.modules if name.split('.')[0] in HEAVY}\n"
        "assert found == {'note_seq.protobuf.music_pb2'}, found",
    )
    assert result.returncode == 0, result.stderr
    assert "config groovae_2bar_humanize_hits" in result.stdout
    assert "no losses" in result.stdout
    assert "groovae_4bar" in (files / "report.html").read_text("utf-8")


def test_checkpoint_without_tensorflow_names_the_missing_package(trained: Path) -> None:
    result = run_blocked(
        "from groovae.cli.main import main; sys.exit(main())", "sample", f"--checkpoint={trained}"
    )
    assert_one_line(result, 1, "not an exported model", "tensorflow is missing")


@pytest.mark.parametrize("command", ["train", "preprocess", "info", "demo"])
def test_other_commands_name_the_missing_package(command: str, tmp_path: Path) -> None:
    result = run_blocked(
        "HEAVY += ('pandas', 'tqdm'); from groovae.cli.main import main; sys.exit(main())",
        *(command, *[tmp_path] * {"preprocess": 2, "info": 1}.get(command, 0)),
    )
    assert_one_line(result, 1, "is missing", "docs/install.md")


def test_musicxml_without_tensorflow_names_the_missing_package(
    exported: Export, tmp_path: Path
) -> None:
    (tmp_path / "score.xml").write_text("<score-partwise/>")
    result = run_blocked(
        "from groovae.cli.main import main; sys.exit(main())",
        *("reconstruct", tmp_path / "score.xml", f"--checkpoint={exported('reconstruct')}"),
    )
    assert_one_line(result, 1, "cannot read MusicXML, only MIDI", "tensorflow is missing")


def test_without_note_seq_the_install_command_is_shown(exported: Export) -> None:
    # None in sys.modules makes an import raise ModuleNotFoundError.
    result = run_blocked(
        "sys.modules['note_seq'] = None; from groovae.cli.main import main; sys.exit(main())",
        *("sample", f"--checkpoint={exported('sample')}"),
    )
    assert_one_line(result, 1, "pip install --no-deps note-seq==0.0.5")


@pytest.mark.parametrize(
    "imports",
    [
        "from groovae.music.note_sequence import NoteSequence\nimport note_seq",
        "import note_seq\nfrom groovae.music.note_sequence import NoteSequence",
    ],
)
def test_note_sequence_is_note_seqs_in_any_import_order(imports: str) -> None:
    """And after groovae.upstream in this process, before it in test_upstream.py."""
    from groovae.upstream import note_seq

    assert note_seq.NoteSequence is NoteSequence
    code = f"{imports}\n{SAME_NOTE_SEQUENCE}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, timeout=300)


# Errors


def test_config_and_hparams_that_contradict_an_export_are_refused(exported: Export) -> None:
    folder = exported("sample")
    with pytest.raises(UsageError, match="config is groovae_4bar, not groovae_2bar_humanize"):
        load_model(folder, config="groovae_2bar_humanize")
    with pytest.raises(UsageError, match="z_size is 8, not 9"):
        load_model(folder, hparams="batch_size=1,z_size=9")
    with pytest.raises(UsageError, match=r"enc_rnn_size is \[64\], not \[64, 32\]"):
        load_model(folder, hparams=["enc_rnn_size=[8]", "enc_rnn_size=[64, 32]"])
    with pytest.raises(UsageError, match=r"no hparam is called 'z_sise'. Did you mean z_size\?"):
        load_model(folder, hparams="z_sise=8")
    agreeing = "z_size=8,learning_rate=1,enc_rnn_size=[64],conditional=True"
    assert load_model(folder, config="groovae_4bar", hparams=agreeing)


@pytest.mark.parametrize(
    "hparams", ["garbage", "z_size=8.0", "enc_rnn_size=64", "batch_size=1,batch_size=1"]
)
def test_invalid_hparams_are_refused_as_for_a_checkpoint(
    exported: Export, trained_for: Callable[[str], Path], hparams: str
) -> None:
    for folder in (exported("sample"), trained_for("sample")):
        with pytest.raises(UsageError, match=re.escape(f"cannot read --hparams={hparams}: ")):
            load_model(folder, hparams=hparams)


def test_model_of_another_task_is_refused(exported: Export) -> None:
    with pytest.raises(UsageError, match=r"`humanize` .* groovae_2bar_humanize"):
        load_model(exported("sample"), task="humanize")


@pytest.mark.parametrize("what", ["trained_model", "config"])
def test_export_has_no_config_or_trained_model(exported: Export, what: str) -> None:
    model = load_model(exported("sample"))
    with pytest.raises(AttributeError, match=f"exported model has no {what}"):
        getattr(model, what)
    assert not hasattr(model, what)


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "--init_checkpoint", f"--hparams={QUICK_HPARAMS}", "--num_steps=1"),
        ("export", "--checkpoint", "--out=again"),
    ],
)
def test_commands_that_need_a_checkpoint_refuse_an_export(
    arguments: tuple[str, ...],
    exported: Export,
    records: Path,
    files: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    command, flag, *others = arguments
    if command != "export":
        others.append(f"--examples_path={records}")
    assert main([command, f"{flag}={exported('sample')}", *others]) == 1
    assert "exported model" in capsys.readouterr().err.splitlines()[-1]
    assert {path.name for path in files.iterdir()} == {"beat.mid", "other.mid"}
