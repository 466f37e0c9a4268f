"""Tests of groovae.data.records: finding and reading TFRecords."""

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import TINY_HPARAMS, Groovae, a_groove, assert_one_line, write_records
from hypothesis import given, settings
from hypothesis import strategies as st

from groovae.data import records
from groovae.errors import GroovaeError, UsageError
from groovae.music.midi_writer import Note, to_midi
from groovae.upstream import note_seq, tf, tfds


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A TFRecord of three sequences."""
    path = tmp_path_factory.mktemp("small") / "small.tfrecord"
    return write_records(path, *(a_groove(bars) for bars in (1, 2, 1))).read_bytes()


def test_truncated_file_raises(small: bytes, tmp_path: Path) -> None:
    sizes = [len(a_groove(bars).SerializeToString()) + 16 for bars in (1, 2, 1)]
    whole_until = [0, sizes[0], sizes[0] + sizes[1]]
    path = tmp_path / "cut.tfrecord"
    within_headers = [start + i for start in whole_until for i in (1, 5, 11)]
    for length in [*range(0, len(small), 37), *whole_until, *within_headers]:
        path.write_bytes(small[:length])
        if length in whole_until:
            assert len(list(records.find(str(path)))) == whole_until.index(length)
        else:
            with pytest.raises(GroovaeError, match=r"cut\.tfrecord: damaged after record \d"):
                list(records.find(str(path)))


@settings(deadline=None)
@given(st.integers(0), st.integers(1, 255))
def test_changed_byte_raises(
    small: bytes, tmp_path_factory: pytest.TempPathFactory, place: int, change: int
) -> None:
    changed = bytearray(small)
    changed[place % len(small)] ^= change
    path = tmp_path_factory.getbasetemp() / "changed.tfrecord"
    path.write_bytes(changed)
    with pytest.raises(GroovaeError, match=r"changed\.tfrecord: damaged after record \d"):
        list(records.find(str(path)))


def an_example(**features: bytes) -> bytes:
    example = tf.train.Example()
    for name, value in features.items():
        example.features.feature[name].bytes_list.value.append(value)
    return example.SerializeToString(deterministic=True)


@pytest.mark.parametrize(
    "record",
    [
        an_example(text=b"abc"),
        an_example(image=b"\xff\xd8\xff", label=b"cat"),
        hashlib.sha256(b"random").digest() * 5,
        b"a line of text",
        b"\0",
    ],
)
def test_other_records_raise(tmp_path: Path, record: bytes) -> None:
    path = write_records(tmp_path / "else.tfrecord", a_groove(), record)
    with pytest.raises(GroovaeError, match=r"else\.tfrecord: damaged after record 1, or not"):
        list(records.find(str(path)))


@pytest.mark.parametrize("content", [b"a line of text\n", b"short", b"MThd" * 40, b"\0" * 99])
def test_other_files_raise(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "else.mid").write_bytes(content)
    with pytest.raises(GroovaeError, match=r"else\.mid: damaged after record 0, or"):
        list(records.find(str(tmp_path / "else.mid")))


def test_empty_file_has_no_records(tmp_path: Path) -> None:
    assert list(records.find(write_records(tmp_path / "empty.tfrecord"))) == []


@pytest.mark.parametrize("name", ["missing.tfrecord", "*.tfrecord", "in/a/missing/folder", "[a"])
def test_missing_file_raises(tmp_path: Path, name: str) -> None:
    with pytest.raises(
        GroovaeError, match="no such file; make it with `groovae preprocess"
    ) as error:
        list(records.find(str(tmp_path / name)))
    assert str(tmp_path / name) in str(error.value)


def test_folder_raises(tmp_path: Path) -> None:
    with pytest.raises(GroovaeError, match=str(tmp_path)):
        list(records.find(str(tmp_path)))


def test_glob_is_read_in_sorted_order(tmp_path: Path) -> None:
    for name in ("b", "c", "a"):
        write_records(
            tmp_path / f"{name}.tfrecord",
            note_seq.NoteSequence(id=name, total_time=1),
        )
    found = [sequence.id for sequence in records.find(f"{tmp_path}/*.tfrecord")]
    assert found == ["a", "b", "c"]


def test_file_name_may_look_like_a_glob(tmp_path: Path) -> None:
    path = write_records(tmp_path / "take[1]*.tfrecord", a_groove())
    assert len(list(records.find(str(path)))) == 1


# Shards, and files beside them


def shards(folder: Path, count: int, missing: int | None = None) -> None:
    for i in range(count):
        if i != missing:
            path = folder / f"music.tfrecord-{i:05}-of-{count:05}"
            write_records(path, a_groove(name=f"{i}"))


def test_shards_are_read_in_order(tmp_path: Path) -> None:
    shards(tmp_path, 3)
    (tmp_path / "music.tfrecord-00000-of-00003.windows-0123abcd.npy").touch()
    (tmp_path / "music.tfrecord-x.report.json").touch()
    (tmp_path / ".music.tfrecord-00000-of-00003.abc.tmp").touch()
    found = [sequence.filename for sequence in records.find(f"{tmp_path}/*music.tfrecord-*")]
    assert found == ["0", "1", "2"]


def test_missing_shard_raises(tmp_path: Path) -> None:
    shards(tmp_path, 3, missing=1)
    with pytest.raises(GroovaeError, match="2 of 3 shards"):
        records.find(f"{tmp_path}/music.tfrecord-*")
    assert len(records.find(f"{tmp_path}/music.tfrecord-00002-of-00003").files) == 1


def test_two_sets_of_shards_raise(tmp_path: Path) -> None:
    shards(tmp_path, 3)
    shards(tmp_path, 2)
    with pytest.raises(
        GroovaeError, match=r"several sets of records .* such as '.*music.tfrecord-.-of-0000"
    ):
        records.find(f"{tmp_path}/music.tfrecord-*")
    assert len(records.find(f"{tmp_path}/music.tfrecord-*-of-00003").files) == 3


def test_shards_beside_single_file_raise(tmp_path: Path) -> None:
    shards(tmp_path, 2)
    write_records(tmp_path / "music.tfrecord", a_groove())
    (tmp_path / "music.folder").mkdir()
    with pytest.raises(GroovaeError, match="several sets of records"):
        records.find(f"{tmp_path}/music*")
    assert len(records.find(f"{tmp_path}/music*-of-00002").files) == 2


def test_unknown_url_scheme_raises() -> None:
    with pytest.raises(GroovaeError, match="cannot read s9://bucket/x: "):
        records.find("s9://bucket/x")


def test_error_suggests_glob_of_shards(tmp_path: Path) -> None:
    shards(tmp_path, 2)
    with pytest.raises(GroovaeError, match=r"'.*music\.tfrecord-\*'"):
        records.find(f"{tmp_path}/music.tfrecord")


# Several processes


def test_map_keeps_the_order(tmp_path: Path) -> None:
    names = [str(i) for i in range(1000)]
    path = write_records(tmp_path / "many.tfrecord", *(a_groove(0, name=name) for name in names))
    examples = records.find(path)
    for workers in (1, 3, None):
        assert list(examples.map(lambda sequence: sequence.filename, workers)) == names


def test_map_raises_with_number_of_damaged_record(tmp_path: Path) -> None:
    grooves = [a_groove(0, name=str(i)) for i in range(200)]
    path = write_records(tmp_path / "some.tfrecord", *grooves, b"else", *grooves)
    with pytest.raises(GroovaeError, match=r"some\.tfrecord: damaged after record 200"):
        list(records.find(path).map(lambda sequence: sequence.filename))


def test_digest_depends_on_content(tmp_path: Path) -> None:
    def digest(*contents: bytes) -> str:
        for i, content in enumerate(contents):
            (tmp_path / f"{i}.tfrecord").write_bytes(content)
        return records.find(f"{tmp_path}/*.tfrecord").digest()

    first = digest(b"ab", b"c")
    assert digest(b"ab", b"c") == first
    assert len({first, digest(b"a", b"bc"), digest(b"ab", b"d"), digest(b"ab", b"c", b"")}) == 4


# TensorFlow Datasets


def a_midi_file(number: int) -> bytes:
    """Return four bars of eighths, with `number` in the first velocity."""
    notes = [Note(i / 4, i / 4 + 0.05, 36, 100 if i else 1 + number) for i in range(32)]
    file = io.BytesIO()
    to_midi(notes)[0].save(file=file)
    return file.getvalue()


@pytest.fixture(scope="module")
def tfds_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A set in the format of TFDS: 20 clips for training, 5 for validation."""
    folder = tmp_path_factory.mktemp("tfds")

    builder: Any = tfds.core.GeneratorBasedBuilder

    class Groove(builder, skip_registration=True):  # type: ignore[call-arg]
        VERSION = tfds.core.Version("2.0.1")
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="4bar-midionly", description="-")]  # noqa: RUF012

        def _info(self) -> Any:
            features = tfds.features.FeaturesDict({"id": tf.string, "midi": tf.string})
            return tfds.core.DatasetInfo(builder=self, features=features)

        def _split_generators(self, manager: Any) -> Any:
            return {
                "train": self._generate_examples(20),
                "validation": self._generate_examples(5),
            }

        def _generate_examples(self, count: int) -> Any:
            for i in range(count):
                yield i, {"id": f"drummer1/{i}", "midi": a_midi_file(i)}

    Groove(config="4bar-midionly", data_dir=folder).download_and_prepare()
    return folder


def test_tfds_sequences_equal_magentas(tfds_dir: Path) -> None:
    examples = records.from_tfds("groove/4bar-midionly", str(tfds_dir))
    found = {sequence.id: sequence for sequence in examples}
    assert len(found) == 20
    for i in range(20):
        sequence = found[f"/tfds/groove/4bar-midionly/drummer1/{i}"]
        sequence.ClearField("id")
        assert sequence == note_seq.midi_to_note_sequence(a_midi_file(i))
    assert len(list(records.from_tfds("groove/4bar-midionly", str(tfds_dir), "validation"))) == 5


def test_train_on_tfds_set(tfds_dir: Path, in_process: Groovae, tmp_path: Path) -> None:
    flags = ["--tfds_name=groove/4bar-midionly", f"--tfds_data_dir={tfds_dir}"]
    flags += [f"--hparams={TINY_HPARAMS}", "--num_steps=2"]
    result = in_process("train", *flags)
    assert result.returncode == 0, result.stderr
    assert "20 windows from 20 of 20 sequences" in result.stderr
    saved = json.loads((tmp_path / ".train" / "config.json").read_text())
    assert (saved["tfds_name"], saved["train_examples_path"]) == ("groove/4bar-midionly", None)
    assert len(list(tfds_dir.rglob("*.windows-*.npy"))) == 1
    assert_one_line(in_process("train", *flags, "--examples_path=a"), 2, "--examples_path")


@pytest.mark.parametrize(("name", "word"), [("nonsense/x", "nonsense"), ("mnist", "'midi'")])
def test_unusable_tfds_set_raises(tmp_path: Path, name: str, word: str) -> None:
    with pytest.raises(UsageError, match=word):
        records.from_tfds(name, str(tmp_path))


def test_unknown_tfds_split_raises(tfds_dir: Path) -> None:
    with pytest.raises(UsageError, match="split 'night'"):
        records.from_tfds("groove/4bar-midionly", str(tfds_dir), "night")
