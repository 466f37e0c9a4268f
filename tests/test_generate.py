"""Sampling: equal to native Magenta's, the same for the same seed, clear where it cannot work."""

import json
import shutil
from pathlib import Path

import mido
import note_seq
import numpy as np
import pytest
from conftest import SMALL_HPARAMS, TINY_HPARAMS, Groovae, assert_one_line

from groovae.checkpoints import find_checkpoint
from groovae.errors import GroovaeError, UsageError
from groovae.generate import GrooveModel, load_model
from groovae.midi import write_sequence
from groovae.train import Options, train


@pytest.fixture(scope="module")
def native_model(native: Path) -> GrooveModel:
    return load_model(native / "checkpoint", hparams=SMALL_HPARAMS, seed=1, batch_size=16)


@pytest.fixture(scope="module")
def native_outputs(native: Path) -> dict[str, np.ndarray]:
    return dict(np.load(native / "native_outputs.npz"))


def test_encode_equals_native(native_model: GrooveModel, native_outputs: dict[str, np.ndarray]):
    inputs = native_outputs["inputs"]
    _, mu, sigma = native_model.trained_model.encode_tensors(list(inputs), [64] * len(inputs))
    np.testing.assert_allclose(mu, native_outputs["mu"], atol=1e-5)
    np.testing.assert_allclose(sigma, native_outputs["sigma"], atol=1e-5)


@pytest.mark.parametrize(("z", "decoded"), [("z", "decoded"), ("mu", "decoded_mu")])
def test_decode_equals_native(
    native_model: GrooveModel, native_outputs: dict[str, np.ndarray], z: str, decoded: str
):
    ours = native_model.decode_to_tensors(native_outputs[z], bars=4, temperature=1e-6)
    np.testing.assert_array_equal(ours[..., :9], native_outputs[decoded][..., :9])
    np.testing.assert_allclose(ours, native_outputs[decoded], atol=1e-5)


def test_samples_are_bars_of_drums_at_their_tempo(native_model: GrooveModel):
    for groove in native_model.sample(num_outputs=3, bars=2, temperature=1.0, tempo_qpm=90):
        assert groove.tempos[0].qpm == 90
        assert groove.total_time == pytest.approx(2 * 4 * 60 / 90)
        assert [(meter.numerator, meter.denominator) for meter in groove.time_signatures] == [
            (4, 4)
        ]
        assert groove.notes
        assert all(note.is_drum for note in groove.notes)
        step_seconds = 60 / 90 / 4
        assert all(
            -step_seconds / 2 <= note.start_time <= groove.total_time for note in groove.notes
        )


def test_a_sampled_groove_survives_its_midi_file(native_model: GrooveModel, tmp_path: Path):
    for groove in native_model.sample(num_outputs=16, temperature=1.0, tempo_qpm=140):
        moved_ms = write_sequence(tmp_path / "groove.mid", groove)
        back = note_seq.midi_file_to_note_sequence(str(tmp_path / "groove.mid"))
        assert back.tempos[0].qpm == pytest.approx(140, abs=1e-3)
        ours, theirs = (
            sorted((note.pitch, note.start_time + shift) for note in sequence.notes)
            for sequence, shift in ((groove, moved_ms / 1000), (back, 0))
        )
        assert [pitch for pitch, _ in ours] == [pitch for pitch, _ in theirs]
        np.testing.assert_allclose([t for _, t in ours], [t for _, t in theirs], atol=0.0005)


def test_the_same_seed_gives_the_same_grooves_and_a_second_draw_others(trained: Path):
    first, second, other = (load_model(trained, seed=seed) for seed in (5, 5, 6))
    grooves = [model.sample(2, temperature=1.0) for model in (first, second, other)]
    assert grooves[0] == grooves[1]
    assert grooves[0] != grooves[2]
    assert first.sample(2, temperature=1.0) != grooves[0]


def test_more_temperature_gives_more_variety(native_model: GrooveModel):
    z = np.repeat(np.random.RandomState(0).randn(1, 32), 16, axis=0).astype(np.float32)
    spread = [
        native_model.decode_to_tensors(z, 4, temperature)[..., :9].std(axis=0).mean()
        for temperature in (1e-6, 0.5, 2.0)
    ]
    assert spread[0] == 0
    assert spread[0] < spread[1] < spread[2]


def test_the_command_writes_the_same_bytes_for_the_same_seed(
    groovae: Groovae, trained: Path, tmp_path: Path
):
    for out in ("a.mid", "b.mid"):
        result = groovae(
            "sample",
            f"--checkpoint={trained}",
            "--seed=3",
            "--bpm=97.5",
            "--bars=2",
            f"--out={out}",
        )
        assert (result.returncode, result.stdout) == (0, f"{out}\n"), result.stderr
    assert (tmp_path / "a.mid").read_bytes() == (tmp_path / "b.mid").read_bytes()
    midi = mido.MidiFile(tmp_path / "a.mid")
    assert len(midi.tracks) == 1
    assert midi.length == pytest.approx(2 * 4 * 60 / 97.5, abs=0.1)
    assert {message.channel for message in midi if message.type == "note_on"} == {9}


def test_several_outputs_are_numbered_and_told_as_json(
    groovae: Groovae, trained: Path, tmp_path: Path
):
    result = groovae(
        "sample", f"--checkpoint={trained}", "--num_outputs=3", "--out=x/t.mid", "--json"
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert [output["file"] for output in told["outputs"]] == [f"x/t-0{i}.mid" for i in (1, 2, 3)]
    for output in told["outputs"]:
        notes = [m for m in mido.MidiFile(tmp_path / output["file"]) if m.type == "note_on"]
        assert len(notes) == output["hits"]
    again = groovae(
        "sample",
        f"--checkpoint={trained}",
        "--num_outputs=3",
        f"--seed={told['seed']}",
        "--out=t.mid",
    )
    assert again.returncode == 0
    for i in (1, 2, 3):
        assert (tmp_path / f"x/t-0{i}.mid").read_bytes() == (tmp_path / f"t-0{i}.mid").read_bytes()


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--temperature=0"], 2, ["temperature", "over 0"]),
        (["--temperature=-0.5"], 2, ["temperature", "-0.5"]),
        (["--temperature=nan"], 2, ["temperature"]),
        (["--temperature=hot"], 2, ["temperature", "hot"]),
        (["--bars=0"], 2, ["bars"]),
        (["--num_outputs=0"], 2, ["num_outputs"]),
        (["--bpm=0"], 2, ["bpm"]),
        (["groove.mid"], 2, ["groove.mid"]),
        (["--out=."], 2, ["folder"]),
        (["--out=grooves/"], 2, ["folder"]),
        (["--seed=-1"], 2, ["seed"]),
        ([], 1, [".train", "groovae train"]),
        (["--checkpoint=.train/model.ckpt-9"], 1, [".train/model.ckpt-9", "no such checkpoint"]),
        (["--checkpoint=groovae_4bar.tar"], 1, ["groovae_4bar.tar", "unpack"]),
    ],
)
def test_a_wrong_call_is_one_line(groovae: Groovae, flags: list[str], code: int, words: list[str]):
    assert_one_line(groovae("sample", *flags), code, *words)


def test_the_library_checks_its_arguments_too(native_model: GrooveModel):
    for arguments in ({"temperature": 0}, {"temperature": np.nan}, {"bars": 0}, {"num_outputs": 0}):
        with pytest.raises(UsageError):
            native_model.sample(**arguments)


@pytest.mark.parametrize(
    ("hparams", "differs"),
    [
        ("z_size=16", "z_size"),
        ("enc_rnn_size=[32]", "enc_rnn_size"),
        ("dec_rnn_size=[48]", "dec_rnn_size"),
        ("dec_rnn_size=[48,24]", "dec_rnn_size"),
    ],
)
def test_a_wrong_shape_names_the_hparam(native: Path, hparams: str, differs: str):
    with pytest.raises(GroovaeError) as error:
        load_model(native / "checkpoint", hparams=_replaced(SMALL_HPARAMS, hparams))
    assert f"what differs: {differs})" in str(error.value)


def test_more_layers_in_the_checkpoint_are_an_error(records: Path, tmp_path: Path):
    hparams = [TINY_HPARAMS, "enc_rnn_size=[8,8]"]
    train(Options(str(tmp_path), str(records), hparams=hparams, num_steps=1))
    (tmp_path / "config.json").unlink()
    with pytest.raises(GroovaeError, match=r"what differs: enc_rnn_size\)"):
        load_model(tmp_path, hparams=TINY_HPARAMS)


def test_flags_that_contradict_config_json_are_named(trained: Path):
    with pytest.raises(UsageError, match="z_size is 4 there, 9 here"):
        load_model(trained, hparams="z_size=9")


def test_a_damaged_checkpoint_is_one_error(trained: Path, tmp_path: Path):
    train_dir = shutil.copytree(trained, tmp_path / "train")
    for suffix in (".data-00000-of-00001", ".index"):
        path = train_dir / f"model.ckpt-3{suffix}"
        path.write_bytes(path.read_bytes()[:100])
        with pytest.raises(GroovaeError, match="damaged"):
            load_model(train_dir)


def test_a_model_of_nan_is_one_error(trained: Path):
    model = load_model(trained)
    with pytest.raises(GroovaeError, match="not numbers"):
        model.decode(np.full((1, 4), np.nan, np.float32))


def test_a_model_that_follows_hits_says_so(records: Path, tmp_path: Path):
    config = "groovae_2bar_hits_control_tfds"
    train(Options(str(tmp_path), str(records), config=config, hparams=TINY_HPARAMS, num_steps=1))
    with pytest.raises(UsageError, match="hits"):
        load_model(tmp_path).sample()


def test_find_checkpoint(trained: Path, tmp_path: Path):
    assert find_checkpoint(trained) == str(trained / "model.ckpt-3")
    for suffix in ("", ".index", ".meta", ".data-00000-of-00001"):
        prefix = str(trained / "model.ckpt-0")
        assert find_checkpoint(f"{prefix}{suffix}") == prefix
    assert find_checkpoint(tmp_path) is None
    assert find_checkpoint(tmp_path / "nothing") is None
    copy = shutil.copytree(trained, tmp_path / "copy")
    (copy / "checkpoint").unlink()
    assert find_checkpoint(copy) == str(copy / "model.ckpt-3")


def _replaced(hparams: str, change: str) -> str:
    """`hparams` with one value changed; its pairs are parted by commas outside of brackets."""
    name = change.split("=")[0]
    pairs = hparams.replace("[48,48]", "[48;48]").split(",")
    kept = [pair for pair in pairs if not pair.startswith(name)]
    return ",".join([*kept, change]).replace(";", ",")
