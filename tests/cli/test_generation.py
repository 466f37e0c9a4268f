"""The commands that generate grooves: outputs, logs and errors, for a file and for a folder."""

import json
import os
import shutil
import subprocess
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
from conftest import Groovae, assert_one_line
from make_music import write_track

from groovae.config.tasks import CONFIGS
from groovae.metrics.scores import METRICS
from groovae.music.midi_writer import Note, write_midi

TASKS_OF_ONE_FILE = ("reconstruct", "vary", "humanize", "tap2drum", "add_hihat")
QUARTER_LATER_KICK = b"\x83\x60\x99\x24\x50\x83\x60\x89\x24\x00"  # a quarter note long


@pytest.fixture
def run(in_process: Groovae, request: pytest.FixtureRequest) -> Groovae:
    """Run a command with an exported model of its task, which loads fast, or the bundled one."""

    def run(task: str, *arguments: object) -> subprocess.CompletedProcess[str]:
        model = []
        if task in CONFIGS:
            model = [f"--checkpoint={request.getfixturevalue('exported')(task)}"]
        return in_process(task, *arguments, *model, "--nopreview")

    return run


def json_of(result: subprocess.CompletedProcess[str]) -> Any:
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


def files_of(result: subprocess.CompletedProcess[str]) -> list[str]:
    assert result.returncode == 0, result.stderr
    return result.stdout.split()


def read_report(folder: str) -> Any:
    (report,) = Path(folder).glob("*.report.json")
    return json.loads(report.read_text())


def write_beat(path: str, bars: int = 2, tempo_qpm: float = 120.0, first_bar: int = 0) -> None:
    """Write a rock beat on the grid, with one velocity."""
    step_seconds = 15 / tempo_qpm
    notes = []
    for step in range(first_bar * 16, bars * 16, 2):
        for pitch in (42, *({0: [36], 4: [38], 10: [36], 12: [38]}.get(step % 16, []))):
            notes.append(Note(step * step_seconds, (step + 1) * step_seconds, pitch, 80))
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    write_midi(path, notes, tempo_qpm)


def write_invalid_files(folder: Path) -> dict[str, str]:
    """Write a file of each kind that is an error; return the reasons by file name."""
    folder.mkdir(exist_ok=True)
    kick = QUARTER_LATER_KICK
    meter, tempo = b"\0\xff\x58\x04", b"\0\xff\x51\x03"
    write_track(folder / "meter.mid", meter + b"\x07\x05\x18\x08" + kick)
    write_track(folder / "tempo.mid", tempo + b"\x00\x00\x01" + kick)
    write_track(folder / "piano.mid", kick.replace(b"\x99", b"\x90").replace(b"\x89", b"\x80"))
    write_track(folder / "silent.mid", b"")
    (folder / "broken.mid").write_bytes(b"MThd, and no more")
    (folder / "nowhere.mid").symlink_to(folder / "missing")
    return {
        "meter.mid": "in 7/32",
        "tempo.mid": "at this tempo",
        "piano.mid": "without drum notes",
        "silent.mid": "without drum notes",
        "broken.mid": "broken MIDI",
        "nowhere.mid": "no such file",
    }


def hits(path: str | Path) -> list[tuple[int, int]]:
    """Return the nearest 16th and the pitch of each hit in a file, sorted."""
    ticks, found = 0, []
    midi = mido.MidiFile(path)
    for message in midi.tracks[0]:
        ticks += message.time
        if message.type == "note_on" and message.velocity:
            found.append((round(4 * ticks / midi.ticks_per_beat), message.note))
    return sorted(found)


def note_events(path: str | Path) -> list[tuple[str, float, int, int]]:
    """Return kind, time in quarters, pitch and velocity of each note on and off, sorted."""
    midi = mido.MidiFile(path)
    ticks, found = 0, []
    for message in mido.merge_tracks(midi.tracks):
        ticks += message.time
        if not message.is_meta:
            quarters = ticks / midi.ticks_per_beat
            found.append((message.type, quarters, message.note, message.velocity))
    return sorted(found)


def inputs_of(task: str) -> list[str]:
    return {
        "sample": [],
        "interpolate": ["a.mid", "b.mid", "--num_steps=3"],
        "transfer": ["--groove=a.mid", "--beat=b.mid"],
    }.get(task, ["a.mid"])


# Outputs


@pytest.mark.parametrize("task", [*TASKS_OF_ONE_FILE, "sample", "interpolate", "transfer"])
def test_the_same_seed_gives_the_same_bytes(run: Groovae, task: str) -> None:
    write_beat("a.mid", bars=5)
    write_beat("b.mid", bars=5, tempo_qpm=97.3)
    for name, seed in (("x", 3), ("y", 3), ("z", 4)):
        result = run(
            task, *inputs_of(task), "--temperature=2", f"--out={name}.mid", f"--seed={seed}"
        )
        assert files_of(result) == [f"{name}.mid"]
        assert f"seed {seed}" in result.stderr
    assert Path("x.mid").read_bytes() == Path("y.mid").read_bytes()
    assert Path("x.mid").read_bytes() != Path("z.mid").read_bytes()
    assert {m.channel for m in mido.MidiFile("x.mid") if m.type == "note_on"} == {9}


def test_a_random_seed_is_reported(run: Groovae) -> None:
    first = json_of(run("sample", "--json", "--num_outputs=3", "--out=x/t"))
    assert [output["file"] for output in first["outputs"]] == [f"x/t-0{i}.mid" for i in (1, 2, 3)]
    for output in first["outputs"]:
        assert len(hits(output["file"])) == output["hits"]
    again = files_of(run("sample", "--num_outputs=3", f"--seed={first['seed']}", "--out=y"))
    for output, file in zip(first["outputs"], again, strict=True):
        assert Path(output["file"]).read_bytes() == Path(file).read_bytes()


def test_the_first_sample_does_not_depend_on_the_number_of_samples(run: Groovae) -> None:
    for count, out in ((1, "one.mid"), (3, "three.mid")):
        run("sample", f"--num_outputs={count}", "--seed=5", "--bars=6", f"--out={out}")
    assert Path("one.mid").read_bytes() == Path("three-01.mid").read_bytes()


def test_a_sample_has_its_bars_and_tempo(run: Groovae) -> None:
    files_of(run("sample", "--bars=9", "--bpm=97.5", "--drift=0.2", "--out=s.mid"))
    midi = mido.MidiFile("s.mid")
    assert len(midi.tracks) == 1
    assert midi.length == pytest.approx(9 * 4 * 60 / 97.5, abs=0.1)


def test_expectation_changes_velocity_and_timing_only(run: Groovae) -> None:
    for name, flag in (("x", "--expectation=all"), ("y", "--expectation=hit"), ("z", "--as_hits")):
        files_of(run("sample", "--seed=1", "--temperature=1", flag, f"--out={name}.mid"))
    assert Path("x.mid").read_bytes() != Path("y.mid").read_bytes()
    assert Path("y.mid").read_bytes() == Path("z.mid").read_bytes()
    assert len(hits("x.mid")) == len(hits("y.mid"))


def test_output_names_by_default(run: Groovae) -> None:
    write_beat("loops/a.mid")
    assert files_of(run("humanize", "loops/a.mid")) == ["a-humanize.mid"]
    variations = files_of(run("vary", "loops/a.mid", "--num_outputs=2"))
    assert variations == ["a-vary-01.mid", "a-vary-02.mid"]
    assert files_of(run("humanize", "loops")) == ["loops-humanize/a.mid"]


@pytest.mark.parametrize("task", ["reconstruct", "humanize"])
def test_number_of_bars_and_tempo_are_preserved(run: Groovae, task: str) -> None:
    write_beat("long.mid", bars=7, tempo_qpm=97.3, first_bar=1)
    result = run(task, "long.mid", "--out=again.mid", "--temperature=0", "--json")
    (output,) = json_of(result)["outputs"]
    midi = mido.MidiFile("again.mid")
    (tempo,) = [message.tempo for message in midi.tracks[0] if message.type == "set_tempo"]
    assert mido.tempo2bpm(tempo) == pytest.approx(97.3, abs=0.001)
    assert midi.length == pytest.approx(7 * 4 * 60 / 97.3, abs=0.15)
    if task == "humanize":
        assert output["moved_ms"] == 0, "no hit is early, because the first bar is empty"
        assert hits("again.mid") == hits("long.mid")


def test_a_loop_keeps_its_rests(run: Groovae) -> None:
    write_midi("loop.mid", [Note(i / 2, i / 2 + 0.1, 36, 90) for i in range(8)], 120, 8.0)
    for again in ("once.mid", "twice.mid"):
        files_of(run("humanize", "loop.mid", f"--out={again}"))
        assert mido.MidiFile(again).length == pytest.approx(8.0, abs=0.002)
        Path("loop.mid").write_bytes(Path(again).read_bytes())


def test_empty_segments_stay_empty_and_are_reported(run: Groovae) -> None:
    notes = [Note(bar * 2.0, bar * 2.0 + 0.1, 36, 90) for bar in (0, 1, 12)]
    write_midi("rests.mid", notes)
    result = run("reconstruct", "rests.mid", "--out=again.mid", "--temperature=1", "--json")
    (line,) = json_of(result)["lost"]
    assert line.startswith("rests.mid: ")
    assert "bars 3 to 12" in line
    assert line in result.stderr
    steps = [step for step, _ in hits("again.mid")]
    assert not [step for step in steps if 65 < step < 190]
    assert [step for step in steps if step >= 190]


def test_reconstruct_reports_scores(run: Groovae, in_process: Groovae, trained: Path) -> None:
    write_beat("a.mid")
    scores = json_of(run("reconstruct", "a.mid", "--json"))["scores"]
    assert list(scores) == list(METRICS)
    assert scores["hit_f1"] > 0.5
    write_midi("one.mid", [Note(0, 0.1, 36, 80)])
    # By an untrained model.
    result = in_process("reconstruct", "one.mid", "--json", f"--checkpoint={trained}")
    assert json_of(result)["scores"]["hit_f1"] == 0
    assert json_of(result)["scores"]["timing_mae_ms"] is None
    assert "no hit in common" in result.stderr


def test_interpolation_is_one_file_or_one_for_each_step(run: Groovae) -> None:
    write_beat("a.mid", bars=4)
    write_beat("b.mid", bars=4, tempo_qpm=97.3)
    call = ["interpolate", "a.mid", "b.mid", "--num_steps=3", "--seed=1"]
    assert files_of(run(*call)) == ["interpolate.mid"]
    assert mido.MidiFile("interpolate.mid").length == pytest.approx(3 * 8, abs=0.1)
    separate = json_of(run(*call, "--separate", "--out=way/s", "--json"))
    files = [output["file"] for output in separate["outputs"]]
    assert files == ["way/s-01.mid", "way/s-02.mid", "way/s-03.mid"]
    assert separate["sources"] == ["a.mid", "b.mid"]
    for file, end in ((files[0], "a.mid"), (files[-1], "b.mid")):
        run("reconstruct", end, "--out=again.mid")
        assert hits(file) == hits("again.mid")


def test_an_abc_tune_without_a_tempo_is_at_120_bpm(run: Groovae) -> None:
    Path("tune.abc").write_text("X:1\nT:tune\nM:4/4\nL:1/8\nK:C\nCDEF GABc|CDEF GABc|\n")
    files_of(run("reconstruct", "tune.abc", "--all_notes", "--out=again.mid", "--temperature=1"))
    assert mido.MidiFile("again.mid").length == pytest.approx(4, abs=0.1)


def test_lost_notes_are_reported(run: Groovae) -> None:
    kick, low = b"\0\x90\x24\x50\x83\x60\x80\x24\x00", b"\0\x90\x10\x50\x83\x60\x80\x10\x00"
    write_track(Path("piano.mid"), kick + low + kick)
    result = run("humanize", "piano.mid", "--all_notes", "--out=again.mid")
    kept = [pitch for _, pitch in hits("again.mid")]
    assert kept == [36, 16, 36] or "16" in result.stderr, result.stderr


def test_notes_without_a_length_are_kept(run: Groovae) -> None:
    nothing = b"\0\x99\x26\x50\0\x89\x26\x00"
    write_track(Path("short.mid"), QUARTER_LATER_KICK + nothing + QUARTER_LATER_KICK)
    result = run("humanize", "short.mid", "--json", "--out=again.mid")
    found = json_of(result)
    assert (found["lost"], found["outputs"][0]["hits"]) == ([], 3)


# Pictures, sound, drum maps


def test_picture_sound_and_preview(run: Groovae, in_process: Groovae) -> None:
    pytest.importorskip("tinysoundfont")
    write_beat("a.mid", bars=2)
    call = ["reconstruct", "a.mid", "--out=x/again.mid", "--temperature=1"]
    result = in_process(*call, "--png", "--wav")
    assert files_of(result) == ["x/again.mid", "x/again.png", "x/again.wav"]
    assert "o soft  x medium  X loud" in result.stderr
    assert sorted(map(str, Path("x").iterdir())) == files_of(result)
    assert Path("x/again.png").read_bytes().startswith(b"\x89PNG")
    with wave.open("x/again.wav") as sound:
        assert 4 < sound.getnframes() / sound.getframerate() < 7
    assert "soft" not in run("reconstruct", "a.mid").stderr, "--nopreview"


def test_a_pickup_is_an_empty_bar(run: Groovae) -> None:
    pytest.importorskip("tinysoundfont")
    write_midi("early.mid", [Note(i / 2, i / 2 + 0.1, 36, 90) for i in range(16)])
    for seed in range(20):
        call = ["humanize", "early.mid", "--temperature=1", f"--seed={seed}", "--json"]
        plain = json_of(run(*call, "--first_hit=shift", "--out=plain.mid"))["outputs"][0]
        if plain["moved_ms"]:
            break
    assert 0 < plain["moved_ms"] < 62.5, "at most half a 16th"
    assert json_of(run(*call, "--out=clamped.mid"))["outputs"][0]["moved_ms"] == 0
    assert hits("clamped.mid")[0] == (0, 36)
    assert json_of(run(*call, "--first_hit=shift", "--pickup", "--out=a.mid"))
    result = run(*call, "--out=pickup.mid", "--first_hit=pickup", "--wav")
    assert "after an empty bar" in result.stderr
    output = json_of(result)["outputs"][0]
    assert output["moved_ms"] == pytest.approx(2000)
    assert [step for step, _ in hits("pickup.mid")] == [16 + 4 * i for i in range(16)]
    assert Path("a.mid").read_bytes() == Path("pickup.mid").read_bytes()
    with wave.open(output["wav"]) as sound:
        samples = np.frombuffer(sound.readframes(sound.getnframes()), "<i2").reshape(-1, 2)
        first_seconds = np.flatnonzero(samples.any(axis=1))[0] / sound.getframerate()
    assert 1.9 < first_seconds <= 2.01, "the sound is as late as the file"


def test_steering_flags_in_any_order(run: Groovae) -> None:
    write_beat("a.mid", bars=5)
    write_beat("b.mid", bars=2)
    steering = ["--amount=0.7", "--timing_amount=0.2", "--keep=accents", "--seed=3"]
    written = []
    for task in ("humanize", "transfer"):
        for flags in (steering, steering[::-1], ["--keep=timing"], ["--amount=0"]):
            files_of(run(task, *inputs_of(task), *flags, "--out=out.mid"))
            written.append(note_events("out.mid"))
        same, again, on_the_grid, unchanged = written[-4:]
        assert same == again
        beat = note_events("a.mid" if task == "humanize" else "b.mid")
        assert unchanged == beat
        assert on_the_grid != beat
        assert [event[:3] for event in on_the_grid] == [event[:3] for event in beat]
    result = run("humanize", "a.mid", "--keep=timing", "--timing_amount=0.5")
    assert_one_line(result, 2, "timing_amount=0.5")


def test_a_drum_map_is_used_to_read_and_write(run: Groovae) -> None:
    Path("mine.json").write_text(json.dumps({"kick": [20, 21], "closed hi-hat": [22]}))
    notes = [Note(i / 4, i / 4 + 0.1, (21, 22, 38, 22)[i % 4], 90) for i in range(16)]
    write_midi("mine.mid", notes)
    call = ["reconstruct", "mine.mid", "--temperature=1", "--json"]
    assert json_of(run(*call, "--drum_map=mine.json", "--out=again.mid"))["lost"] == []
    pitches = {pitch for _, pitch in hits("again.mid")}
    assert {21, 22} <= pitches, "those of the file"
    assert not {20, 36, 42} & pitches
    files_of(run("sample", "--drum_map=mine.json", "--seed=1", "--out=new.mid"))
    pitches = {pitch for _, pitch in hits("new.mid")}
    assert {20, 22} <= pitches, "the first of each drum"
    assert not {21, 36, 42} & pitches
    (lost,) = json_of(run(*call, "--drum_map=gm"))["lost"]
    for words in ("4 of 16 notes", "pitch 21", "--drum_map"):
        assert words in lost
    assert_one_line(run(*call, "--drum_map=nowhere.json"), 2, "nowhere.json", "gm, roland")


def test_all_notes_reads_other_channels_as_drums(run: Groovae) -> None:
    write_invalid_files(Path("bad"))
    result = run("reconstruct", "bad/piano.mid")
    assert_one_line(result, 1, "bad/piano.mid: ", "without drum notes", "--all_notes")
    files_of(run("reconstruct", "bad/piano.mid", "--all_notes"))
    files_of(run("tap2drum", "bad/piano.mid"))  # whose taps may be on any channel
    result = run("reconstruct", "bad/silent.mid", "--all_notes")
    assert_one_line(result, 1, "bad/silent.mid: ", "without drum notes")
    assert "--all_notes" not in result.stderr, "advice that was followed is not repeated"


@pytest.mark.parametrize("kind", ["wav", "png"])
def test_sound_and_picture_never_overwrite_the_midi_file(run: Groovae, kind: str) -> None:
    if kind == "wav":
        pytest.importorskip("tinysoundfont")
    result = run("sample", f"--out=x.{kind}", f"--{kind}")
    assert files_of(result) == [f"x.{kind}.mid", f"x.{kind}.{kind}"]
    assert mido.MidiFile(f"x.{kind}.mid")


# Folders


@pytest.mark.parametrize("task", ["humanize", "vary"])
def test_a_file_in_a_folder_gives_the_same_output_as_alone(run: Groovae, task: str) -> None:
    write_beat("in/a.mid", bars=7)
    write_beat("in/deep/b.midi", bars=4, tempo_qpm=97.3)
    flags = ["--seed=5", "--temperature=1", *(["--num_outputs=2"] if task == "vary" else [])]
    folder = json_of(run(task, "in", "--out=out", "--json", *flags))
    assert [take["source"] for take in folder["takes"]] == ["in/a.mid", "in/deep/b.midi"]
    assert folder["skipped"] == []
    assert folder == read_report("out")
    for take in folder["takes"]:
        alone = json_of(run(task, take["source"], "--out=alone.mid", "--json", *flags))["outputs"]
        for ours, theirs in zip(take["outputs"], alone, strict=True):
            assert Path(ours["file"]).read_bytes() == Path(theirs["file"]).read_bytes()


def test_each_file_of_a_folder_is_used_or_reported(run: Groovae) -> None:
    reasons = write_invalid_files(Path("in"))
    write_beat("in/good.mid")
    Path("in/notes.txt").write_text("no music")
    result = run("reconstruct", "in", "--out=out")
    assert files_of(result) == ["out/good.mid"]
    logged = [line for line in result.stderr.splitlines() if line.startswith("skipped: ")]
    assert len(logged) == len(reasons)
    skipped = {Path(skip["source"]).name: skip["reason"] for skip in read_report("out")["skipped"]}
    assert skipped.keys() == reasons.keys()
    for name, reason in reasons.items():
        assert reason in skipped[name]
        assert sum(f"in/{name}: {skipped[name]}" in line for line in logged) == 1, logged
    last = result.stderr.splitlines()[-1]
    for words in ("1 of 7 files", f"2 {skipped['piano.mid']}", "out/reconstruct.report.json"):
        assert words in last
    assert sorted(os.listdir("out")) == ["good.mid", "reconstruct.report.json"]


@pytest.mark.parametrize("task", ["reconstruct", "tap2drum"])
def test_a_folder_of_which_no_file_is_used_fails(run: Groovae, task: str) -> None:
    reasons = write_invalid_files(Path("in"))
    Path("in/piano.mid").unlink()  # which `tap2drum` can use
    result = run(task, "in", "--out=out")
    assert (result.returncode, result.stdout) == (1, "")
    assert f"0 of {len(reasons) - 1} files" in result.stderr
    assert len(read_report("out")["skipped"]) == len(reasons) - 1


def test_an_invalid_file_is_one_line(run: Groovae) -> None:
    for name, reason in write_invalid_files(Path("in")).items():
        result = run("reconstruct", f"in/{name}", "--out=no.mid")
        assert_one_line(result, 1, f"groovae reconstruct: in/{name}: ", reason)
    assert not Path("no.mid").exists()


def test_a_file_with_two_names_is_used_once(run: Groovae) -> None:
    write_beat("in/a.mid")
    Path("in/b.mid").symlink_to("a.mid")
    assert files_of(run("humanize", "in", "--out=out")) == ["out/a.mid"]


def test_a_file_name_that_is_not_utf8(run: Groovae) -> None:
    write_beat("in/a.mid")
    shutil.copy("in/a.mid", os.fsdecode(b"in/\xff.mid"))
    assert len(json_of(run("humanize", "in", "--out=out", "--json"))["takes"]) == 2
    assert len(read_report("out")["takes"]) == 2


def test_outputs_of_an_earlier_run_are_not_inputs(run: Groovae) -> None:
    write_beat("a.mid")
    first, again = (files_of(run("humanize", ".", "--seed=1")) for _ in range(2))
    assert first == again


def test_outputs_may_be_in_a_folder_around_the_inputs(run: Groovae) -> None:
    write_beat("in/a.mid")
    assert files_of(run("humanize", "in", "--out=.")) == ["a.mid"]


def test_several_files_and_folders_give_the_same_output_as_alone(run: Groovae) -> None:
    for file in ("a.mid", "in/a.mid", "in/deep/b.mid", "other/a.mid"):
        write_beat(file, bars=3)
    sources = ["other/a.mid", "in", "./a.mid", "in/a.mid"]  # the last one is in the folder
    result = run("humanize", *sources, "--seed=5", "--temperature=1")
    played = ["humanize/a.mid", "humanize/in/a.mid", "humanize/in/deep/b.mid"]
    assert files_of(result) == [played[0], *played[1:], "humanize/a.mid.mid"]
    run("humanize", "other/a.mid", "--out=alone", "--seed=5", "--temperature=1")
    for file in files_of(result):
        assert Path(file).read_bytes() == Path("alone.mid").read_bytes()
    assert files_of(run("humanize", *sources, "--seed=5")) == files_of(result)


def test_a_named_file_that_fails_is_skipped_and_fails_the_run(run: Groovae) -> None:
    reasons = write_invalid_files(Path("bad"))
    write_beat("a.mid")
    result = run("reconstruct", "bad/meter.mid", "a.mid", "--out=out")
    assert (result.returncode, result.stdout.split()) == (1, ["out/a.mid"])
    assert [skip["source"] for skip in read_report("out")["skipped"]] == ["bad/meter.mid"]
    assert reasons["meter.mid"] in result.stderr
    assert run("reconstruct", "bad", "a.mid", "--out=out").returncode == 0


def test_transfer_takes_several_beats(run: Groovae) -> None:
    for file in ("groove.mid", "a.mid", "b.mid"):
        write_beat(file)
    result = run("transfer", "--groove=groove.mid", "a.mid", "--beat=b.mid", "--out=out")
    assert files_of(result) == ["out/b.mid", "out/a.mid"]
    overwriting = run("transfer", "--groove=groove.mid", "a.mid", "b.mid", "--out=.")
    assert_one_line(overwriting, 2, ".mid: ", "input", "--out")


def test_a_tempo_beyond_midi_is_an_error_of_the_file(run: Groovae) -> None:
    Path("in").mkdir()
    write_track(Path("in/fast.mid"), b"\0\xff\x51\x03\0\x9c\x40" + QUARTER_LATER_KICK)
    assert_one_line(run("humanize", "in/fast.mid"), 1, "in/fast.mid: ", "1500")
    assert "skipped: in/fast.mid: " in run("humanize", "in", "--out=out").stderr
    (skip,) = read_report("out")["skipped"]
    assert "1500" not in skip["reason"], "each tempo would be a reason of its own"


def test_an_invalid_groove_for_transfer_is_reported_once(run: Groovae) -> None:
    reasons = write_invalid_files(Path("bad"))
    write_beat("in/a.mid")
    write_beat("in/b.mid")
    result = run("transfer", "--groove=bad/meter.mid", "--beat=in", "--out=out")
    assert_one_line(result, 1, "bad/meter.mid: ", reasons["meter.mid"])
    assert "skipped" not in result.stderr


def test_an_output_that_cannot_be_written_ends_the_run(run: Groovae) -> None:
    write_beat("in/a.mid")
    write_beat("in/b.mid")
    Path("file").touch()
    result = run("humanize", "in", "--out=file/new")
    assert_one_line(result, 1, "file")
    assert "skipped" not in result.stderr


def test_a_file_that_cannot_be_written_costs_no_other(run: Groovae) -> None:
    write_beat("in/a/1.mid")
    write_beat("in/b/2.mid")
    Path("out").mkdir()
    Path("out/a").touch()
    result = run("reconstruct", "in", "--out=out", "--json")
    assert result.returncode == 0, result.stderr
    report = json_of(result)
    assert [take["source"] for take in report["takes"]] == ["in/b/2.mid"]
    assert [skip["source"] for skip in report["skipped"]] == ["in/a/1.mid"]


def test_a_name_that_is_almost_too_long_is_shortened(run: Groovae) -> None:
    name = "드럼" * 41  # 246 bytes
    write_beat("in/a.mid")
    Path("in/a.mid").rename(f"in/{name}.mid")
    Path("in/._b.mid").write_bytes(b"metadata of macOS")
    result = run("reconstruct", "in", "--out=out", "--json")
    (take,) = json_of(result)["takes"]
    assert json_of(result)["skipped"] == []
    written = Path(take["outputs"][0]["file"])
    assert written.is_file()
    assert written.name.startswith("드럼")
    assert len(os.fsencode(written.name)) <= 210


def files_in(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if path.is_file()}


def test_files_of_others_in_the_folder_of_outputs_are_kept(run: Groovae) -> None:
    write_beat("in/a.mid")
    write_beat("in/b.mid")
    Path("out").mkdir()
    for name in ("report.json", "b.mid"):
        Path("out", name).write_text("mine")
    result = run("reconstruct", "in", "--out=out")
    assert_one_line(result, 2, "out/b.mid: ", "no earlier run", "--overwrite", "--out")
    assert files_in("out") == {"report.json": b"mine", "b.mid": b"mine"}
    assert files_of(run("reconstruct", "in", "--out=out", "--overwrite")) == [
        "out/a.mid",
        "out/b.mid",
    ]
    assert files_in("out")["report.json"] == b"mine"
    assert len(files_of(run("reconstruct", "in", "--out=out"))) == 2, "its own files"
    assert_one_line(run("vary", "in", "--out=out"), 2, "out/a.mid: ", "--overwrite")


def test_files_of_earlier_runs_are_remembered(run: Groovae) -> None:
    write_beat("in/a.mid")
    write_beat("in/b.mid")
    run("reconstruct", "in", "--out=out")
    Path("in/b.mid").rename("b.mid")
    run("reconstruct", "in", "--out=out")
    assert read_report("out")["files"] == ["a.mid", "b.mid"]
    Path("out/b.mid").unlink()
    run("reconstruct", "in", "--out=out", "--png")
    assert read_report("out")["files"] == ["a.mid", "a.png"]
    Path("out/b.mid").write_text("mine")
    Path("b.mid").rename("in/b.mid")
    assert_one_line(run("reconstruct", "in", "--out=out"), 2, "out/b.mid: ", "--overwrite")


@pytest.mark.parametrize("report", ["mine", "[]", '{"files": 1}', '{"files": [1]}', "[" * 10**5])
def test_report_of_others_is_kept(in_process: Groovae, report: str) -> None:
    write_beat("in/a.mid")
    Path("out").mkdir()
    Path("out/reconstruct.report.json").write_text(report)
    result = in_process("reconstruct", "in", "--out=out")
    assert_one_line(result, 2, "out/reconstruct.report.json: not a report", "--overwrite")
    assert files_in("out") == {"reconstruct.report.json": report.encode()}


@pytest.mark.parametrize(
    ("arguments", "link"),
    [
        (["sample", "--num_outputs=2", "--out=x.mid"], "x-02.mid"),
        (["sample", "--png", "--out=x.mid"], "x.png"),
        (["reconstruct", "a.mid"], "a-reconstruct.mid"),
        (["interpolate", "a.mid", "a.mid", "--separate", "--out=x.mid"], "x-01.mid"),
        (["reconstruct", "in", "--out=.", "--overwrite"], "c.mid"),
    ],
)
def test_link_that_out_does_not_name_is_refused(
    in_process: Groovae, arguments: list[str], link: str
) -> None:
    write_beat("a.mid")
    write_beat("in/c.mid")
    Path("mine").write_text("mine")
    Path(link).symlink_to("mine")
    assert_one_line(in_process(*arguments), 2, f"{link}: this is a link")
    assert Path("mine").read_text() == "mine"


def test_many_outputs_show_no_progress_bar_without_a_terminal(run: Groovae) -> None:
    result = run("sample", "--num_outputs=25", "--bars=1", "--out=x.mid")
    assert files_of(result) == [f"x-{i:02}.mid" for i in range(1, 26)]
    assert len([line for line in result.stderr.splitlines() if ".mid: " in line]) == 25
    assert "groove/s" not in result.stderr


def test_too_many_outputs_of_a_folder_are_a_usage_error(in_process: Groovae) -> None:
    write_beat("in/0.mid")
    for i in range(1, 11):
        shutil.copy("in/0.mid", f"in/{i}.mid")
    result = in_process("vary", "in", "--num_outputs=10000", "--out=out")
    assert_one_line(result, 2, "110,000", "over 100,000")
    assert not Path("out").exists()


# Errors before a model is loaded


@pytest.mark.parametrize(
    "arguments",
    [
        ["humanize", "a.mid", "--out=a.mid"],
        ["humanize", "a.mid", "--out=in/../a"],
        ["humanize", "link.mid", "--out=a.mid"],
        ["humanize", "a.mid", "--out=link.mid"],
        ["humanize", "in", "--out=in"],
        ["interpolate", "a.mid", "b.mid", "--out=b.mid"],
        ["transfer", "--groove=a.mid", "--beat=b.mid", "--out=b.mid"],
        ["transfer", "--groove=a.mid", "--beat=b.mid", "--out=a.mid"],
        ["transfer", "--groove=in/c.mid", "--beat=in", "--out=in"],
    ],
)
def test_an_input_is_never_overwritten(in_process: Groovae, arguments: list[str]) -> None:
    for file in ("a.mid", "b.mid", "in/c.mid"):
        write_beat(file)
    Path("link.mid").symlink_to("a.mid")
    before = Path("a.mid").read_bytes()
    assert_one_line(in_process(*arguments), 2, ".mid: ", "input", "--out")
    assert Path("a.mid").read_bytes() == before


def test_outputs_of_two_inputs_differ(run: Groovae) -> None:
    write_beat("in/a.mid")
    write_beat("in/a.midi")
    assert files_of(run("humanize", "in", "--out=out")) == ["out/a.mid", "out/a.midi.mid"]
    write_beat("two/a.mid")
    write_beat("two/a-01.mid")
    assert len(set(files_of(run("vary", "two", "--out=apart", "--num_outputs=2")))) == 4


def test_a_soundfont_is_checked_first(in_process: Groovae) -> None:
    pytest.importorskip("tinysoundfont")
    write_beat("in/a.mid")
    for source in ("in", "in/a.mid"):
        call = ["humanize", source, "--out=new", "--soundfont=none.sf2"]
        assert_one_line(in_process(*call, "--wav"), 1, "none.sf2")
        assert_one_line(in_process(*call), 2, "--soundfont", "--wav", "--play")
    assert os.listdir() == ["in"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["humanize"], 2, ["IN.mid missing"]),
        (["humanize", "a.mid", ""], 2, ["IN.mid is empty"]),
        (["humanize", "a.mid", "in", "--out=a.mid"], 2, ["a.mid: this is a file", "several"]),
        (["humanize", "a.mid", "in", "--out=new.mid"], 2, ["--out=new.mid", "several inputs"]),
        (["humanize", "a.mid", "none.mid"], 1, ["none.mid: no such file or folder"]),
        (["humanize", "in", "--out=a.mid"], 2, ["a.mid: this is a file", "in is a folder"]),
        (["humanize", "a.mid", "--out=in"], 2, ["in: this is a folder"]),
        (["humanize", "a.mid", "--out=new/"], 2, ["new/: this is a folder"]),
        (["humanize", "none.mid"], 1, ["none.mid: "]),
        (["humanize", "text.txt"], 1, ["text.txt: ", "suffix"]),
        (["humanize", "empty"], 1, ["no music file"]),
        (["humanize", "film.mid"], 1, ["film.mid: ", "SMPTE"]),
        (["interpolate", "a.mid"], 2, ["B.mid missing"]),
        (["interpolate", "a.mid", "b.mid", "--num_steps=1"], 2, ["num_steps"]),
        (["interpolate", "a.mid", "none.mid"], 1, ["none.mid: "]),
        (["vary", "a.mid", "--amount=1.5"], 2, ["amount"]),
        (["vary", "a.mid", "--amount=nan"], 2, ["--amount", "number"]),
        (["transfer", "--beat=a.mid"], 2, ["--groove=FILE.mid missing"]),
        (["transfer", "--groove=a.mid"], 2, ["--beat=FILE.mid missing"]),
        (["transfer", "a.mid", "b.mid"], 2, ["--groove=FILE.mid missing"]),
        (["transfer", "--groove=none.mid", "--beat=a.mid"], 1, ["none.mid: "]),
        (["transfer", "--groove=a.mid", "--beat=none.mid"], 1, ["none.mid: "]),
        (["sample", "--temperature=-0.5"], 2, ["temperature", "-0.5"]),
        (["sample", "--temperature=inf"], 2, ["temperature", "inf"]),
        (["sample", "--temperature=hot"], 2, ["temperature", "hot"]),
        (["sample", "--drift=2"], 2, ["drift"]),
        (["sample", "--bars=0"], 2, ["bars"]),
        (["sample", "--num_outputs=0"], 2, ["num_outputs"]),
        (["sample", "--num_outputs=1000000000"], 2, ["num_outputs", "10000"]),
        (["vary", "a.mid", "--num_outputs=1000000000"], 2, ["num_outputs", "10000"]),
        (["interpolate", "a.mid", "b.mid", f"--num_steps={10**25}"], 2, ["num_steps", "10000"]),
        (["sample", "--bpm=0"], 2, ["bpm"]),
        (["sample", "groove.mid"], 2, ["groove.mid"]),
        (["sample", "--out=."], 2, ["folder"]),
        (["sample", "--out=grooves/"], 2, ["folder"]),
        (["sample", "--seed=-1"], 2, ["seed"]),
        (["sample", "--checkpoint=.train"], 1, [".train", "groovae train"]),
        (["sample", "--checkpoint=.train/model.ckpt-9"], 1, [".train/model.ckpt-9", "no such"]),
        (["sample", "--checkpoint=groovae_4bar.tar"], 1, ["groovae_4bar.tar"]),
        (
            ["add_hihat", "a.mid", "--checkpoint=.train"],
            1,
            [".train", "configs/add_hihat.flags", "groovae download"],
        ),
        (
            ["humanize", "a.mid", "--checkpoint=groovae_2bar_humanize.tar"],
            1,
            ["configs/humanize.flags", "download --checkpoint=groovae_2bar_humanize"],
        ),
    ],
)
def test_an_error_is_one_line(
    in_process: Groovae, arguments: list[str], code: int, words: list[str]
) -> None:
    write_beat("a.mid")
    write_beat("in/a.mid")
    Path("text.txt").write_text("no music")
    Path("empty").mkdir()
    write_track(Path("film.mid"), b"\0\x99\x24\x50\x10\x89\x24\x00")
    film = bytearray(Path("film.mid").read_bytes())
    film[12:14] = b"\xe7\x28"  # 25 frames a second, 40 ticks each
    Path("film.mid").write_bytes(film)
    assert_one_line(in_process(*arguments), code, *words)


# Models of another task


@pytest.mark.parametrize("task", CONFIGS)
def test_a_model_of_another_task_is_one_line(in_process: Groovae, trained: Path, task: str) -> None:
    write_beat("a.mid")
    write_beat("b.mid")
    wrong = in_process(task, *inputs_of(task), f"--checkpoint={trained}")
    assert_one_line(wrong, 2, f"`{task}`", CONFIGS[task][0], "groovae train --flagfile=configs/")
    assert not list(Path().glob(f"*-{task}.mid"))


@pytest.mark.parametrize("task", ["reconstruct", "interpolate", "vary", "tap2drum"])
def test_a_humanize_model_refuses_other_tasks(
    in_process: Groovae, trained_for: Callable[[str], Path], task: str
) -> None:
    write_beat("a.mid")
    write_beat("b.mid")
    wrong = in_process(task, *inputs_of(task), f"--checkpoint={trained_for('humanize')}")
    assert_one_line(wrong, 2, "`humanize`", "groovae download --checkpoint=groovae_")


def test_a_copied_training_folder_needs_no_config(
    in_process: Groovae, trained_for: Callable[[str], Path], tmp_path: Path
) -> None:
    copy = shutil.copytree(trained_for("humanize"), tmp_path / "moved")
    write_beat("a.mid")
    result = in_process("humanize", "a.mid", f"--checkpoint={copy}", "--nopreview")
    assert files_of(result) == ["a-humanize.mid"]
    assert "groovae_2bar_humanize from" in result.stderr
