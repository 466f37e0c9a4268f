"""The commands that play: what they write, say and refuse, for a file and for a folder."""

import json
import os
import shutil
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import mido
import numpy as np
import pytest
from make_music import write_track

from groovae.cli.generation import REPORT_FILE
from groovae.cli.main import main
from groovae.config.tasks import CONFIGS
from groovae.metrics.scores import METRICS
from groovae.music.midi_writer import Note, write_midi

OF_ONE_FILE = ("reconstruct", "vary", "humanize", "tap2drum", "add_hihat")
Call = Callable[..., "Result"]


class Result(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert self.code == 0, self.err
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

    def assert_one_line(self, code: int, *words: str) -> None:
        assert self.code == code, self.err
        assert "Traceback" not in self.err
        last = self.err.splitlines()[-1]
        assert last.startswith("groovae "), last
        for word in words:
            assert word in last, last


@pytest.fixture
def call(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Call:
    """Runs a command in this process, in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        return Result(main([*map(str, arguments)]), *capsys.readouterr())

    return run


@pytest.fixture
def play(call: Call, trained: Path, request: pytest.FixtureRequest) -> Call:
    """Runs a command that plays, with a model that can."""

    def run(task: str, *arguments: object) -> Result:
        folder = request.getfixturevalue("taught")(task) if task in CONFIGS else trained
        return call(task, *arguments, f"--checkpoint={folder}", "--nopreview")

    return run


def write_beat(path: str, bars: int = 2, tempo_qpm: float = 120.0, first_bar: int = 0) -> None:
    """Rock on the grid, all at one velocity."""
    step_seconds = 15 / tempo_qpm
    notes = []
    for step in range(first_bar * 16, bars * 16, 2):
        for pitch in (42, *({0: [36], 4: [38], 10: [36], 12: [38]}.get(step % 16, []))):
            notes.append(Note(step * step_seconds, (step + 1) * step_seconds, pitch, 80))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_midi(path, notes, tempo_qpm)


def write_unplayable(folder: Path) -> dict[str, str]:
    """A file of each kind that cannot be played, and what is said of it."""
    folder.mkdir(exist_ok=True)
    kick = b"\x83\x60\x99\x24\x50\x83\x60\x89\x24\x00"  # a quarter later, a quarter long
    meter, tempo = b"\0\xff\x58\x04", b"\0\xff\x51\x03"
    write_track(folder / "three.mid", meter + b"\x03\x02\x18\x08" + kick)
    write_track(
        folder / "meters.mid",
        meter + b"\x04\x02\x18\x08" + kick + meter + b"\x03\x02\x18\x08" + kick,
    )
    write_track(
        folder / "tempos.mid", tempo + b"\x07\xa1\x20" + kick + tempo + b"\x06\x1a\x80" + kick
    )
    write_track(folder / "piano.mid", kick.replace(b"\x99", b"\x90").replace(b"\x89", b"\x80"))
    write_track(folder / "silent.mid", b"")
    (folder / "broken.mid").write_bytes(b"MThd, and no more")
    (folder / "nowhere.mid").symlink_to(folder / "missing")
    return {
        "three.mid": "cannot play a groove not in 4/4",
        "meters.mid": "cannot play a groove with meter changes",
        "tempos.mid": "cannot play a groove with tempo changes",
        "piano.mid": "cannot play a groove without drum notes",
        "silent.mid": "cannot play a groove without drum notes",
        "broken.mid": "broken MIDI",
        "nowhere.mid": "there is no such file",
    }


def hits(path: str | Path) -> list[tuple[int, int]]:
    """The nearest 16th and the pitch of each hit in a file, sorted."""
    ticks, found = 0, []
    midi = mido.MidiFile(path)
    for message in midi.tracks[0]:
        ticks += message.time
        if message.type == "note_on" and message.velocity:
            found.append((round(4 * ticks / midi.ticks_per_beat), message.note))
    return sorted(found)


# What each command writes


def calls_of(task: str) -> list[str]:
    return {
        "sample": [],
        "interpolate": ["a.mid", "b.mid", "--num_steps=3"],
        "transfer": ["--groove=a.mid", "--beat=b.mid"],
    }.get(task, ["a.mid"])


@pytest.mark.parametrize("task", [*OF_ONE_FILE, "sample", "interpolate", "transfer"])
def test_the_same_seed_gives_the_same_bytes(play: Call, task: str) -> None:
    write_beat("a.mid", bars=5)
    write_beat("b.mid", bars=5, tempo_qpm=97.3)
    call = [task, *calls_of(task), "--temperature=1"]
    first, again, other = (
        play(*call, f"--out={name}.mid", f"--seed={seed}")
        for name, seed in (("x", 3), ("y", 3), ("z", 4))
    )
    assert (first.code, first.out) == (0, "x.mid\n"), first.err
    assert "seed 3" in first.err
    assert (again.code, other.code) == (0, 0)
    assert Path("x.mid").read_bytes() == Path("y.mid").read_bytes()
    assert Path("x.mid").read_bytes() != Path("z.mid").read_bytes()
    assert {m.channel for m in mido.MidiFile("x.mid") if m.type == "note_on"} == {9}


def test_a_seed_that_was_drawn_is_told(play: Call) -> None:
    first = play("sample", "--json", "--num_outputs=3", "--out=x/t").json
    assert [output["file"] for output in first["outputs"]] == [f"x/t-0{i}.mid" for i in (1, 2, 3)]
    for output in first["outputs"]:
        assert len(hits(output["file"])) == output["hits"]
    assert play("sample", "--num_outputs=3", f"--seed={first['seed']}", "--out=y").code == 0
    for i in (1, 2, 3):
        assert Path(f"x/t-0{i}.mid").read_bytes() == Path(f"y-0{i}.mid").read_bytes()


def test_a_sample_has_its_bars_and_tempo(play: Call) -> None:
    assert play("sample", "--bars=9", "--bpm=97.5", "--drift=0.2", "--out=s.mid").code == 0
    midi = mido.MidiFile("s.mid")
    assert len(midi.tracks) == 1
    assert midi.length == pytest.approx(9 * 4 * 60 / 97.5, abs=0.1)


def test_a_name_is_made_from_the_input_and_the_task(play: Call) -> None:
    write_beat("loops/a.mid")
    assert play("humanize", "loops/a.mid").out == "a-humanize.mid\n"
    assert play("vary", "loops/a.mid", "--num_outputs=2").out == "a-vary-01.mid\na-vary-02.mid\n"
    assert play("humanize", "loops").out == "loops-humanize/a.mid\n"


@pytest.mark.parametrize("task", ["reconstruct", "humanize"])
def test_seven_bars_come_back_as_seven_at_their_tempo(play: Call, task: str) -> None:
    write_beat("long.mid", bars=7, tempo_qpm=97.3, first_bar=1)
    result = play(task, "long.mid", "--out=again.mid", "--temperature=0", "--json")
    (output,) = result.json["outputs"]
    midi = mido.MidiFile("again.mid")
    (tempo,) = [message.tempo for message in midi.tracks[0] if message.type == "set_tempo"]
    assert mido.tempo2bpm(tempo) == pytest.approx(97.3, abs=0.001)
    assert midi.length == pytest.approx(7 * 4 * 60 / 97.3, abs=0.15)
    if task == "humanize":
        assert output["moved_ms"] == 0, "the first bar is empty, so nothing is early"
        assert hits("again.mid") == hits("long.mid")


def test_empty_pieces_are_told_and_stay_empty(play: Call) -> None:
    notes = [Note(bar * 2.0, bar * 2.0 + 0.1, 36, 90) for bar in (0, 1, 12)]
    write_midi("rests.mid", notes)
    result = play("reconstruct", "rests.mid", "--out=again.mid", "--temperature=1", "--json")
    line = "no drum is hit in bars 5 to 8, 9 to 12; they stay empty"
    assert f"rests.mid: {line}" in result.err
    assert result.json["lost"] == [f"rests.mid: {line}"]
    steps = [step for step, _ in hits("again.mid")]
    assert not [step for step in steps if 65 < step < 190]
    assert [step for step in steps if step > 192], "there is something after them"


def test_reconstruct_tells_how_near_it_came(play: Call) -> None:
    write_beat("a.mid")
    scores = play("reconstruct", "a.mid", "--temperature=1", "--json").json["scores"]
    assert list(scores) == list(METRICS)
    write_midi("one.mid", [Note(0, 0.1, 36, 80)])
    apart = play("reconstruct", "one.mid", "--json")  # of a model that has learned nothing
    assert apart.json["scores"]["hit_f1"] == 0
    assert apart.json["scores"]["timing_mae_ms"] is None
    assert "no hit in common" in apart.err


def test_interpolation_is_one_file_or_one_for_each_step(play: Call) -> None:
    write_beat("a.mid", bars=4)
    write_beat("b.mid", bars=4, tempo_qpm=97.3)
    call = ["interpolate", "a.mid", "b.mid", "--num_steps=3", "--seed=1"]
    assert play(*call).out == "interpolate.mid\n"
    assert mido.MidiFile("interpolate.mid").length == pytest.approx(3 * 8, abs=0.1)
    separate = play(*call, "--separate", "--out=way/s", "--json").json
    assert [output["file"] for output in separate["outputs"]] == [
        f"way/s-0{i}.mid" for i in (1, 2, 3)
    ]
    assert separate["sources"] == ["a.mid", "b.mid"]
    for i, name in ((1, "a.mid"), (3, "b.mid")):
        play("reconstruct", name, "--out=again.mid")
        assert hits(f"way/s-0{i}.mid") == hits("again.mid")


def test_a_tune_without_a_tempo_is_played_at_120(play: Call) -> None:
    Path("tune.abc").write_text("X:1\nT:tune\nM:4/4\nL:1/8\nK:C\nCDEF GABc|CDEF GABc|\n")
    result = play("reconstruct", "tune.abc", "--all_notes", "--out=again.mid", "--temperature=1")
    assert result.code == 0, result.err
    assert mido.MidiFile("again.mid").length == pytest.approx(4, abs=0.1)


def test_no_note_is_lost_without_a_word(play: Call) -> None:
    kick, low = b"\0\x90\x24\x50\x83\x60\x80\x24\x00", b"\0\x90\x10\x50\x83\x60\x80\x10\x00"
    write_track(Path("piano.mid"), kick + low + kick)
    result = play("humanize", "piano.mid", "--all_notes", "--out=again.mid")
    kept = [pitch for _, pitch in hits("again.mid")]
    assert kept == [36, 16, 36] or "16" in result.err, result.err


# Looks, sound, and other drums


def test_picture_sound_and_preview_are_beside_it(play: Call, call: Call, trained: Path) -> None:
    pytest.importorskip("tinysoundfont")
    write_beat("a.mid", bars=2)
    result = call(
        *("reconstruct", "a.mid", "--out=x/again.mid", "--temperature=1"),
        *("--png", "--wav", f"--checkpoint={trained}"),
    )
    assert (result.code, result.out.split()) == (
        0,
        ["x/again.mid", "x/again.png", "x/again.wav"],
    ), result.err
    assert "o soft  x medium  X loud" in result.err
    assert sorted(path.name for path in Path("x").iterdir()) == [
        *("again.mid", "again.png", "again.wav")
    ]
    assert Path("x/again.png").read_bytes().startswith(b"\x89PNG")
    with wave.open("x/again.wav") as sound:
        assert 4 < sound.getnframes() / sound.getframerate() < 7
    assert "soft" not in play("reconstruct", "a.mid").err, "--nopreview"


def test_a_pickup_is_an_empty_bar(play: Call) -> None:
    write_midi("early.mid", [Note(i / 2, i / 2 + 0.1, 36, 90) for i in range(16)])
    for seed in range(20):
        call = ["humanize", "early.mid", "--temperature=1", f"--seed={seed}", "--json"]
        plain = play(*call, "--out=plain.mid").json["outputs"][0]
        if plain["moved_ms"]:
            break
    assert 0 < plain["moved_ms"] < 62.5, "at most half a 16th"
    picked_up = play(*call, "--out=pickup.mid", "--pickup")
    assert picked_up.json["outputs"][0]["moved_ms"] == pytest.approx(2000)
    assert "after an empty bar" in picked_up.err
    assert [step for step, _ in hits("pickup.mid")] == [16 + 4 * i for i in range(16)]


def test_a_drum_map_is_read_and_written(play: Call) -> None:
    Path("mine.json").write_text(json.dumps({"kick": [20, 21], "closed hi-hat": [22]}))
    notes = [Note(i / 4, i / 4 + 0.1, (21, 22, 38, 22)[i % 4], 90) for i in range(16)]
    write_midi("mine.mid", notes)
    call = ["reconstruct", "mine.mid", "--temperature=1", "--json"]
    told = play(*call, "--drum_map=mine.json", "--out=again.mid").json
    assert told["lost"] == []
    pitches = {pitch for _, pitch in hits("again.mid")}
    assert {20, 22} <= pitches
    assert not {21, 36, 42} & pitches
    (lost,) = play(*call, "--drum_map=gm").json["lost"]
    assert "4 of 16 notes left out: no drum class holds pitch 21 4 times (see --drum_map)" in lost
    play(*call, "--drum_map=nowhere.json").assert_one_line(2, "nowhere.json", "gm, roland")


def test_other_channels_are_drums_where_that_is_asked_for(play: Call) -> None:
    write_unplayable(Path("bad"))
    play("reconstruct", "bad/piano.mid").assert_one_line(
        1, "bad/piano.mid: cannot play a groove without drum notes; --all_notes"
    )
    assert play("reconstruct", "bad/piano.mid", "--all_notes").code == 0
    assert play("tap2drum", "bad/piano.mid").code == 0, "a keyboard taps as well"


@pytest.mark.parametrize("kind", ["wav", "png"])
def test_sound_and_picture_never_take_the_place_of_the_midi(play: Call, kind: str) -> None:
    if kind == "wav":
        pytest.importorskip("tinysoundfont")
    result = play("sample", f"--out=x.{kind}", f"--{kind}")
    if result.code == 0:
        assert result.out.split() == [f"x.{kind}.mid", f"x.{kind}.{kind}"]
        assert mido.MidiFile(f"x.{kind}.mid")
    else:
        result.assert_one_line(2, f"x.{kind}")


# Folders


@pytest.mark.parametrize("task", ["humanize", "vary"])
def test_a_file_in_a_folder_comes_out_as_it_does_alone(play: Call, task: str) -> None:
    write_beat("in/a.mid", bars=7)
    write_beat("in/deep/b.midi", bars=4, tempo_qpm=97.3)
    flags = ["--seed=5", "--temperature=1", *(["--num_outputs=2"] if task == "vary" else [])]
    folder = play(task, "in", "--out=out", "--json", *flags).json
    assert [take["source"] for take in folder["takes"]] == ["in/a.mid", "in/deep/b.midi"]
    assert folder["skipped"] == []
    assert folder == json.loads(Path("out", REPORT_FILE).read_text())
    for name, take in zip(("a.mid", "deep/b.midi"), folder["takes"], strict=True):
        alone = play(task, f"in/{name}", "--out=alone.mid", "--json", *flags).json["outputs"]
        assert len(alone) == len(take["outputs"])
        for ours, theirs in zip(take["outputs"], alone, strict=True):
            assert Path(ours["file"]).read_bytes() == Path(theirs["file"]).read_bytes()


def test_what_a_folder_holds_is_played_or_counted(play: Call) -> None:
    reasons = write_unplayable(Path("in"))
    write_beat("in/good.mid")
    (Path("in") / "notes.txt").write_text("no music")
    result = play("reconstruct", "in", "--out=out")
    assert result.code == 0, result.err
    assert result.out == "out/good.mid\n"
    left_out = [line for line in result.err.splitlines() if line.startswith("left out: ")]
    assert len(left_out) == len(reasons)
    for name, reason in reasons.items():
        assert sum(f"in/{name}: {reason}" in line for line in left_out) == 1, left_out
    report = json.loads(Path("out", REPORT_FILE).read_text())
    told = {Path(skip["source"]).name: skip["reason"] for skip in report["skipped"]}
    assert told == reasons
    last = result.err.splitlines()[-1]
    assert last.startswith("played 1 of 8 files to out; left out: 2 cannot play a groove without")
    assert last.endswith(f"the report is out/{REPORT_FILE}")
    assert sorted(path.name for path in Path("out").iterdir()) == ["good.mid", REPORT_FILE]


@pytest.mark.parametrize("task", ["reconstruct", "tap2drum"])
def test_a_folder_of_which_nothing_is_played_fails(play: Call, task: str) -> None:
    reasons = write_unplayable(Path("in"))
    Path("in/piano.mid").unlink()  # which `tap2drum` plays
    result = play(task, "in", "--out=out")
    assert (result.code, result.out) == (1, "")
    assert f"played 0 of {len(reasons) - 1} files" in result.err
    assert len(json.loads(Path("out", REPORT_FILE).read_text())["skipped"]) == len(reasons) - 1


def test_one_file_that_cannot_be_played_is_one_line(play: Call) -> None:
    for name, reason in write_unplayable(Path("in")).items():
        play("reconstruct", f"in/{name}", "--out=no.mid").assert_one_line(
            1, f"groovae reconstruct: in/{name}: {reason}"
        )
    assert not Path("no.mid").exists()


def test_a_file_with_two_names_is_played_once(play: Call) -> None:
    write_beat("in/a.mid")
    Path("in/b.mid").symlink_to("a.mid")
    assert play("humanize", "in", "--out=out").out == "out/a.mid\n"


def test_a_name_that_is_not_utf8_costs_nothing(play: Call) -> None:
    write_beat("in/a.mid")
    shutil.copy("in/a.mid", os.fsdecode(b"in/\xff.mid"))
    result = play("humanize", "in", "--out=out", "--json")
    assert len(result.json["takes"]) == 2
    assert Path("out", REPORT_FILE).exists()


def test_the_folder_that_one_is_in_can_be_played_again(play: Call) -> None:
    write_beat("a.mid")
    first, again = (play("humanize", ".", "--seed=1") for _ in range(2))
    assert (first.code, again.code) == (0, 0), again.err
    assert first.out == again.out


def test_the_outputs_may_be_around_the_inputs(play: Call) -> None:
    write_beat("in/a.mid")
    assert play("humanize", "in", "--out=.").out == "a.mid\n"


def test_a_tempo_that_midi_cannot_be_written_at_names_the_file(play: Call) -> None:
    notes = b"\x83\x60\x99\x24\x50\x83\x60\x89\x24\x00"
    Path("in").mkdir()
    write_track(Path("in/fast.mid"), b"\0\xff\x51\x03\0\x9c\x40" + notes)
    play("humanize", "in/fast.mid").assert_one_line(1, "in/fast.mid: ", "1500")
    result = play("humanize", "in", "--out=out")
    assert "left out: in/fast.mid: " in result.err
    report = json.loads(Path("out", REPORT_FILE).read_text())
    assert "1500" not in report["skipped"][0]["reason"], "each tempo would be a reason of its own"


def test_a_feel_that_cannot_be_played_is_said_once(play: Call) -> None:
    write_unplayable(Path("bad"))
    write_beat("in/a.mid")
    write_beat("in/b.mid")
    result = play("transfer", "--groove=bad/three.mid", "--beat=in", "--out=out")
    result.assert_one_line(1, "bad/three.mid: cannot play a groove not in 4/4")
    assert "left out" not in result.err


def test_advice_that_was_followed_is_not_given_again(play: Call) -> None:
    write_midi("silent.mid", [])
    result = play("reconstruct", "silent.mid", "--all_notes")
    result.assert_one_line(1, "silent.mid: cannot play a groove without drum notes")
    assert "--all_notes" not in result.err


# What is refused, before a model is loaded


def test_no_input_is_written_over(play: Call) -> None:
    write_beat("a.mid")
    write_beat("b.mid")
    write_beat("in/c.mid")
    Path("link.mid").symlink_to("a.mid")
    before = Path("a.mid").read_bytes()
    for arguments in (
        ["humanize", "a.mid", "--out=a.mid"],
        ["humanize", "a.mid", "--out=in/../a"],
        ["humanize", "link.mid", "--out=a.mid"],
        ["humanize", "a.mid", "--out=link.mid"],
        ["humanize", "in", "--out=in"],
        ["interpolate", "a.mid", "b.mid", "--out=b.mid"],
        ["transfer", "--groove=a.mid", "--beat=b.mid", "--out=b.mid"],
        ["transfer", "--groove=a.mid", "--beat=b.mid", "--out=a.mid"],
        ["transfer", "--groove=in/c.mid", "--beat=in", "--out=in"],
    ):
        play(*arguments).assert_one_line(2, "this is an input; name another --out")
    assert Path("a.mid").read_bytes() == before


def test_two_inputs_never_become_one_output(play: Call) -> None:
    write_beat("in/a.mid")
    write_beat("in/a.midi")
    result = play("humanize", "in", "--out=out")
    assert result.out.split() == ["out/a.mid", "out/a.midi.mid"]
    write_beat("two/a.mid")
    write_beat("two/a-01.mid")
    assert play("vary", "two", "--out=apart", "--num_outputs=2").code == 0
    assert len(list(Path("apart").glob("*.mid"))) == 4


def test_a_folder_wants_a_folder_and_a_file_a_file(play: Call) -> None:
    write_beat("in/a.mid")
    write_beat("a.mid")
    play("humanize", "in", "--out=a.mid").assert_one_line(2, "a.mid: this is a file", "in is a")
    play("humanize", "a.mid", "--out=in").assert_one_line(2, "in: this is a folder")
    play("humanize", "a.mid", "--out=new/").assert_one_line(2, "new/: this is a folder")


def test_what_cannot_be_read_is_one_line(play: Call) -> None:
    write_beat("b.mid")
    Path("text.txt").write_text("no music")
    Path("empty").mkdir()
    for arguments, words in (
        (["humanize", "a.mid"], "a.mid: there is no such file"),
        (["humanize", "text.txt"], "text.txt: not music by its suffix"),
        (["humanize", "empty"], "no music file below this folder"),
        (["interpolate", "b.mid", "c.mid"], "c.mid: there is no such file"),
        (["transfer", "--groove=c.mid", "--beat=b.mid"], "c.mid: there is no such file"),
        (["transfer", "--groove=b.mid", "--beat=c.mid"], "c.mid: there is no such file"),
    ):
        play(*arguments).assert_one_line(1, words)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["humanize"], ["IN.mid missing"]),
        (["humanize", "a.mid", "b.mid"], ["'b.mid'"]),
        (["interpolate", "a.mid"], ["B.mid missing"]),
        (["interpolate", "a.mid", "b.mid", "--num_steps=1"], ["num_steps"]),
        (["vary", "a.mid", "--amount=1.5"], ["amount"]),
        (["vary", "a.mid", "--amount=nan"], ["--amount must be a number"]),
        (["transfer", "--beat=b.mid"], ["--groove=FILE.mid missing"]),
        (["transfer", "--groove=a.mid"], ["--beat=FILE.mid missing"]),
        (["transfer", "a.mid", "b.mid"], ["'a.mid'"]),
        (["sample", "--temperature=-0.5"], ["temperature", "-0.5"]),
        (["sample", "--temperature=inf"], ["temperature", "inf"]),
        (["sample", "--temperature=hot"], ["temperature", "hot"]),
        (["sample", "--drift=2"], ["drift"]),
        (["sample", "--bars=0"], ["bars"]),
        (["sample", "--num_outputs=0"], ["num_outputs"]),
        (["sample", "--bpm=0"], ["bpm"]),
        (["sample", "groove.mid"], ["groove.mid"]),
        (["sample", "--out=."], ["folder"]),
        (["sample", "--out=grooves/"], ["folder"]),
        (["sample", "--seed=-1"], ["seed"]),
    ],
)
def test_a_wrong_call_is_one_line(call: Call, arguments: list[str], words: list[str]) -> None:
    call(*arguments).assert_one_line(2, *words)


def test_a_checkpoint_that_is_not_there_is_one_line(call: Call) -> None:
    write_beat("a.mid")
    for arguments, words in (
        (["sample", "--checkpoint=.train"], [".train", "groovae train"]),
        (["humanize", "a.mid"], [".train", "groovae train"]),
        (["sample", "--checkpoint=.train/model.ckpt-9"], [".train/model.ckpt-9", "no such"]),
        (["sample", "--checkpoint=groovae_4bar.tar"], ["groovae_4bar.tar", "unpack"]),
    ):
        call(*arguments).assert_one_line(1, *words)


@pytest.mark.parametrize("task", CONFIGS)
def test_a_model_for_something_else_is_one_line(call: Call, trained: Path, task: str) -> None:
    write_beat("a.mid")
    write_beat("b.mid")
    wrong = call(task, *calls_of(task), f"--checkpoint={trained}")
    wrong.assert_one_line(
        2, f"`{task}` takes a model of {CONFIGS[task][0]}", "groovae train --flagfile=configs/"
    )
    assert not list(Path().glob(f"*-{task}.mid"))


@pytest.mark.parametrize("task", ["reconstruct", "interpolate", "vary", "tap2drum"])
def test_a_model_that_humanizes_does_nothing_else(
    call: Call, taught: Callable[[str], Path], task: str
) -> None:
    write_beat("a.mid")
    write_beat("b.mid")
    wrong = call(task, *calls_of(task), f"--checkpoint={taught('humanize')}")
    wrong.assert_one_line(2, "which is for `humanize`", "groovae download --checkpoint=groovae_")


def test_a_folder_that_is_a_model_of_its_own_needs_no_config(
    call: Call, taught: Callable[[str], Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(taught("humanize"), tmp_path / "moved")
    write_beat("a.mid")
    result = call("humanize", "a.mid", f"--checkpoint={copy}", "--nopreview")
    assert (result.code, result.out) == (0, "a-humanize.mid\n"), result.err
    assert "groovae_2bar_humanize from" in result.err


# What a file says beside its notes


def test_a_loop_keeps_its_rests(play: Call) -> None:
    write_midi("loop.mid", [Note(i / 2, i / 2 + 0.1, 36, 90) for i in range(8)], 120, 8.0)
    for again in ("once.mid", "twice.mid"):
        assert play("humanize", "loop.mid", f"--out={again}").code == 0
        assert mido.MidiFile(again).length == pytest.approx(8.0, abs=0.002)
        Path("loop.mid").write_bytes(Path(again).read_bytes())


def test_notes_without_a_length_are_told(play: Call) -> None:
    kick, nothing = b"\x83\x60\x99\x24\x50\x83\x60\x89\x24\x00", b"\0\x99\x26\x50\0\x89\x26\x00"
    write_track(Path("short.mid"), kick + nothing + kick)
    result = play("humanize", "short.mid", "--json", "--out=again.mid")
    assert result.json["lost"] == ["short.mid: 1 of 3 notes left out: they have no length or end"]
    assert result.json["lost"][0] in result.err


def test_frames_instead_of_beats_are_one_line(play: Call) -> None:
    write_track(Path("film.mid"), b"\0\x99\x24\x50\x10\x89\x24\x00")
    film = bytearray(Path("film.mid").read_bytes())
    film[12:14] = b"\xe7\x28"  # 25 frames a second, 40 ticks each
    Path("film.mid").write_bytes(film)
    play("humanize", "film.mid").assert_one_line(1, "film.mid: its times are SMPTE frames")


def test_the_sound_is_as_late_as_the_file(play: Call) -> None:
    pytest.importorskip("tinysoundfont")
    write_beat("a.mid")
    for seed in range(20):
        flags = ["--pickup", "--wav", f"--seed={seed}", "--temperature=1", "--json"]
        output = play("humanize", "a.mid", "--out=b.mid", *flags).json["outputs"][0]
        if output["moved_ms"]:
            break
    assert output["moved_ms"] == pytest.approx(2000)
    with wave.open(output["wav"]) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").reshape(-1, 2)
        first_seconds = np.flatnonzero(samples.any(axis=1))[0] / sound.getframerate()
    assert 1.9 < first_seconds <= 2.01


def test_a_soundfont_is_looked_at_before_anything_is_written(play: Call) -> None:
    pytest.importorskip("tinysoundfont")
    write_beat("in/a.mid")
    for source in ("in", "in/a.mid"):
        call = ["humanize", source, "--out=new", "--soundfont=none.sf2"]
        play(*call, "--wav").assert_one_line(1, "none.sf2")
        play(*call).assert_one_line(2, "--soundfont is for --wav and --play")
    assert [path.name for path in Path().iterdir()] == ["in"]


def test_what_cannot_be_written_ends_the_folder(play: Call) -> None:
    write_beat("in/a.mid")
    write_beat("in/b.mid")
    Path("file").touch()
    result = play("humanize", "in", "--out=file/new")
    result.assert_one_line(1, "file")
    assert "left out" not in result.err


def test_the_first_sample_does_not_depend_on_how_many_there_are(play: Call) -> None:
    for count, out in ((1, "one.mid"), (3, "three.mid")):
        play("sample", f"--num_outputs={count}", "--seed=5", "--bars=6", f"--out={out}")
    assert Path("one.mid").read_bytes() == Path("three-01.mid").read_bytes()


def test_a_model_that_is_not_there_comes_with_the_commands_that_get_it(call: Call) -> None:
    write_beat("a.mid")
    for flags in ([], ["--checkpoint=groovae_2bar_humanize.tar"]):
        call("humanize", "a.mid", *flags).assert_one_line(
            1, "--flagfile=configs/humanize.flags", "download --checkpoint=groovae_2bar_humanize"
        )
