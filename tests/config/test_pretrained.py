"""Tests of groovae.config.pretrained and `groovae download --checkpoint`."""

import hashlib
import re
import shlex
import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import TINY_HPARAMS, Groovae, assert_one_line

from groovae.cli.main import main
from groovae.config import config_map, pretrained
from groovae.config.layout import LAYOUTS
from groovae.config.pretrained import CHECKPOINTS, Pretrained, download, pretrained_config
from groovae.config.tasks import check_task
from groovae.errors import GroovaeError, UsageError
from groovae.model.checkpoints import need_checkpoint
from groovae.music.midi_writer import Note, write_midi
from groovae.system.download import RemoteFile

pytestmark = pytest.mark.usefixtures("cache_home")

NEXT = {
    "groovae_4bar": "sample",
    "groovae_2bar_humanize": "humanize IN.mid",
    "groovae_2bar_tap_fixed_velocity": "tap2drum IN.mid",
    "groovae_2bar_add_closed_hh": "add_hihat IN.mid",
    "groovae_2bar_hits_control": "transfer --groove=A.mid --beat=B.mid",
}


@pytest.fixture
def archive(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny groovae_4bar in place of Google's; the current directory is empty."""
    path = tmp_path / "at_google" / "groovae_4bar.tar"
    path.parent.mkdir()
    with tarfile.open(path, "w") as tar:
        for file in sorted(trained.glob("model.ckpt-3.*")):
            tar.add(file, f"groovae_4bar/{file.name}")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    pretrained_archive = Pretrained(RemoteFile(path.as_uri(), sha256), "groovae_4bar")
    monkeypatch.setitem(CHECKPOINTS, "groovae_4bar", pretrained_archive)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return path


def test_checkpoints_have_urls_checksums_and_known_configs() -> None:
    assert len(CHECKPOINTS) == 5
    for name, checkpoint in CHECKPOINTS.items():
        assert checkpoint.archive.url.endswith(f"/music_vae/checkpoints/{name}.tar")
        assert re.fullmatch("[0-9a-f]{64}", checkpoint.archive.sha256)
        assert checkpoint.config in config_map.CONFIG_MAP
    assert len({checkpoint.archive.sha256 for checkpoint in CHECKPOINTS.values()}) == 5


def test_only_hits_control_has_controls() -> None:
    takes_hits = {
        name
        for name, checkpoint in CHECKPOINTS.items()
        if config_map.get_config(checkpoint.config).data_converter.control_depth
    }
    assert takes_hits == {"groovae_2bar_hits_control"}


def test_default_destination(archive: Path) -> None:
    done: list[int] = []
    path = download("groovae_4bar", progress=done.append)
    assert path == Path("data_dir/checkpoints/groovae_4bar.tar")
    assert path.read_bytes() == archive.read_bytes()
    assert done[-1] == archive.stat().st_size
    assert list(path.parent.iterdir()) == [path]


def test_dest_may_be_file_or_folder(archive: Path) -> None:
    assert download("groovae_4bar", "mine.tar") == Path("mine.tar")
    assert download("groovae_4bar", "new/") == Path("new/groovae_4bar.tar")
    assert download("groovae_4bar", Path()) == Path("groovae_4bar.tar")
    for path in ("mine.tar", "new/groovae_4bar.tar", "groovae_4bar.tar"):
        assert Path(path).read_bytes() == archive.read_bytes()


def test_existing_archive_is_not_downloaded_again(archive: Path) -> None:
    path = download("groovae_4bar")
    archive.unlink()
    lines: list[str] = []
    assert download("groovae_4bar", log=lines.append) == path
    assert len(lines) == 1
    assert str(path) in lines[0]


def test_other_existing_file_is_kept(archive: Path) -> None:
    Path("mine.tar").write_text("mine")
    with pytest.raises(GroovaeError, match=r"mine\.tar.*--dest"):
        download("groovae_4bar", "mine.tar")
    assert Path("mine.tar").read_text() == "mine"


@pytest.mark.parametrize("change", [lambda b: b + b"x", lambda b: b[:-1], lambda b: b"x" + b[1:]])
def test_wrong_checksum_raises_and_leaves_nothing(
    archive: Path, change: Callable[[bytes], bytes]
) -> None:
    archive.write_bytes(change(archive.read_bytes()))
    with pytest.raises(GroovaeError, match="SHA-256"):
        download("groovae_4bar")
    assert list(Path().iterdir()) == []


def test_too_large_download_is_aborted(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("groovae.system.download.MAX_BYTES", archive.stat().st_size - 1024)
    monkeypatch.setattr("groovae.system.download.CHUNK_BYTES", 512)
    done: list[int] = []
    with pytest.raises(GroovaeError):
        download("groovae_4bar", progress=done.append)
    assert done[-1] == archive.stat().st_size - 512
    assert list(Path().iterdir()) == []


def test_mirror_is_verified(archive: Path, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror.tar"
    mirror.write_bytes(archive.read_bytes())
    archive.unlink()
    lines: list[str] = []
    assert download("groovae_4bar", url=mirror.as_uri(), log=lines.append).is_file()
    assert mirror.as_uri() in lines[0]
    mirror.write_bytes(b"something else")
    with pytest.raises(GroovaeError, match="SHA-256"):
        download("groovae_4bar", "again.tar", mirror.as_uri())


@pytest.mark.parametrize("mirror", ["file:///no/such/file.tar", "file:///"])
def test_unreachable_mirror_raises(archive: Path, mirror: str) -> None:
    with pytest.raises(GroovaeError, match="file://"):
        download("groovae_4bar", url=mirror)
    assert list(Path().iterdir()) == []


def test_unwritable_destination_raises(archive: Path) -> None:
    Path("file").touch()
    with pytest.raises(GroovaeError, match=r"cannot write .*file"):
        download("groovae_4bar", "file/groovae_4bar.tar")


def test_unknown_checkpoint_lists_known_ones() -> None:
    with pytest.raises(UsageError, match=r"groovae_8bar.*groovae_4bar.*hits_control"):
        download("groovae_8bar")


def test_command_prints_path_and_next_command(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["download", "--checkpoint=groovae_4bar", "--dest=my model.tar"]) == 0
    out, err = capsys.readouterr()
    assert out == "my model.tar\n"
    (next_step,) = re.findall("next: groovae (.*)", err)
    assert next_step == "sample --checkpoint='my model.tar'"
    # Google's has the config's own hparams, this one is tiny.
    assert main([*shlex.split(next_step), f"--hparams={TINY_HPARAMS}", "--nopreview"]) == 0
    out, err = capsys.readouterr()
    assert out == "drum_4bar.mid\n"
    assert re.search("groovae_4bar from .*/my model.unpacked-", err)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_next_command_fits_the_checkpoint(
    name: str,
    archive: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    same = CHECKPOINTS["groovae_4bar"].archive
    config = CHECKPOINTS[name].config
    monkeypatch.setitem(CHECKPOINTS, name, Pretrained(same, config))
    assert main(["download", f"--checkpoint={name}"]) == 0
    out, err = capsys.readouterr()
    path = f"{pretrained.DEST}/{name}.tar"
    assert out == f"{path}\n"
    task = NEXT[name].split()[0]
    assert err.splitlines()[-1].endswith(f"groovae {NEXT[name]} --checkpoint={path}")
    check_task(task, config, LAYOUTS[config], path)


@pytest.mark.parametrize("name", CHECKPOINTS)
def test_config_is_found_by_sha256_of_archive(
    name: str, archive: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CHECKPOINTS[name].config
    for other in set(CHECKPOINTS) - {name}:
        monkeypatch.delitem(CHECKPOINTS, other)
    sha256 = hashlib.sha256(archive.read_bytes()).hexdigest()
    pretrained_archive = Pretrained(RemoteFile(archive.as_uri(), sha256), config)
    monkeypatch.setitem(CHECKPOINTS, name, pretrained_archive)
    folder = Path(need_checkpoint(shutil.copy(archive, "renamed.tar"))).parent
    assert pretrained_config(folder) == config
    for given in (None, config):
        assert config_map.resolve_config(folder, given, "")[0] == config
    other = next(key for key in config_map.CONFIG_MAP if key != config)
    with pytest.raises(UsageError, match=f"{config}.*{other}"):
        config_map.resolve_config(folder, other, "")


def test_wrong_config_or_task_is_a_usage_error(
    archive: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = download("groovae_4bar")
    wrong = "--config=groovae_2bar_humanize"
    assert main(["sample", f"--checkpoint={path}", wrong]) == 2
    err = capsys.readouterr().err
    assert "groovae_4bar" in err
    assert "groovae_2bar_humanize" in err
    write_midi("a.mid", [Note(0, 0.1, 36, 80)])
    assert main(["humanize", "a.mid", f"--checkpoint={path}"]) == 2
    assert f"{path} holds groovae_4bar; train one" in capsys.readouterr().err


def test_repacked_archive_takes_config_from_flags(
    archive: Path, trained: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The same checkpoint packed another way has another SHA-256."""
    with tarfile.open("mine.tar", "w") as mine:
        for file in sorted(trained.glob("model.ckpt-3.*")):
            mine.add(file, file.name)
    assert pretrained_config(Path(need_checkpoint("mine.tar")).parent) is None
    write_midi("a.mid", [Note(0, 0.1, 36, 80)])
    call = ["reconstruct", "a.mid", "--checkpoint=mine.tar", f"--hparams={TINY_HPARAMS}"]
    assert main([*call, "--nopreview"]) == 0, "of the command's own config"
    assert main([*call, "--config=groovae_2bar_humanize"]) == 2
    assert "which is for `humanize`" in capsys.readouterr().err


def test_command_rejects_wrong_checksum(groovae: Groovae, tmp_path: Path) -> None:
    other = tmp_path / "other.tar"
    other.write_text("another file")
    result = groovae("download", "--checkpoint=groovae_4bar", f"--url={other.as_uri()}")
    sha256 = CHECKPOINTS["groovae_4bar"].archive.sha256[:12]
    assert_one_line(result, 1, f"SHA-256 {sha256}")
    assert result.stdout == ""
    assert list(tmp_path.iterdir()) == [other]


def test_command_rejects_unknown_checkpoint(groovae: Groovae, tmp_path: Path) -> None:
    result = groovae("download", "--checkpoint=groovae_8bar")
    assert_one_line(result, 2, "groovae_8bar", *CHECKPOINTS)
    assert list(tmp_path.iterdir()) == []


def test_help_names_every_checkpoint(groovae: Groovae) -> None:
    assert set(CHECKPOINTS) <= set(re.findall(r"\w+", groovae("download", "--help").stdout))
