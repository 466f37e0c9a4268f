"""Google's pretrained GrooVAE checkpoints, about 61.5 MB each, by the Magenta team.

    groovae download --checkpoint=groovae_4bar
    groovae sample --checkpoint=data_dir/checkpoints/groovae_4bar.tar

They are listed under "Pre-trained Checkpoints" in Magenta's music_vae/README.md and were trained on
the Groove MIDI Dataset. The archives hold no `config.json`; their SHA-256 identifies them.
"""

import dataclasses
import os
import shutil
from pathlib import Path

from groovae.errors import GroovaeError, UsageError
from groovae.system.atomic_files import atomic_write
from groovae.system.download import Progress, RemoteFile, fetched, sha256_of
from groovae.system.log import Log, no_log
from groovae.system.regular_files import open_regular

URL = "https://storage.googleapis.com/magentadata/models/music_vae/checkpoints/{}.tar"
DEST = "data_dir/checkpoints"


@dataclasses.dataclass(frozen=True)
class Pretrained:
    """An archive of a checkpoint, and the key of `CONFIG_MAP` that it was trained with."""

    archive: RemoteFile
    config: str


SHA256 = {
    "groovae_4bar": "64c3d5e2d71ef2488b728c92a0b11d04f1a0321b4d744375fbdd74fd960c840e",
    "groovae_2bar_humanize": "d7e919dd83d7800b297bbc220f68301ea251f1af622dcc797d25cd795aa09b38",
    "groovae_2bar_tap_fixed_velocity": (
        "c0caea54ea159831c3c9c1831ec385d9c989b095cd6f236beca035de487c437a"
    ),
    "groovae_2bar_add_closed_hh": (
        "c9b82714d5726dcf3b2d4b890248baf3dd8aa9caad491ca93773b4e13418a11a"
    ),
    "groovae_2bar_hits_control": "2f185d28a497b67b82c85f9169c1c0c504bb85b9e24170b401dc1502c14f84df",
}
# Magenta's README gives this checkpoint a config of its own name, which Magenta's code lacks.
OTHER_CONFIGS = {"groovae_2bar_hits_control": "groovae_2bar_hits_control_tfds"}
CHECKPOINTS = {
    name: Pretrained(RemoteFile(URL.format(name), sha256), OTHER_CONFIGS.get(name, name))
    for name, sha256 in SHA256.items()
}


def download(
    name: str,
    dest: str | os.PathLike[str] | None = None,
    url: str | None = None,
    progress: Progress = lambda done_bytes: None,
    log: Log = no_log,
) -> Path:
    """Download a checkpoint's archive and verify its SHA-256, unless it is there already.

    Args:
      name: A key of `CHECKPOINTS`.
      dest: The file to write, or a folder for NAME.tar; `data_dir/checkpoints` by default.
      url: A mirror of the same file.
      progress: Called with the number of bytes received so far.
      log: Gets one line.

    Returns:
      The path of the archive, for `groovae.load_model`.

    Raises:
      UsageError: no such checkpoint, or the URL is invalid.
      GroovaeError: `dest` is another file, the archive cannot be fetched or written, or its
        SHA-256 differs.
    """
    if name not in CHECKPOINTS:
        raise UsageError(
            f"no checkpoint by Google is called {name!r}; there are {', '.join(CHECKPOINTS)}"
        )
    archive = CHECKPOINTS[name].archive
    path = _path(name, DEST + os.sep if dest is None else os.fspath(dest))
    if path.exists():
        _check_sha256(path, archive)
        log(f"{path} is already downloaded; checksum verified")
        return path
    archive = dataclasses.replace(archive, url=url or archive.url)
    log(f"fetching {archive.url}")
    with (
        fetched(archive, progress) as file,
        atomic_write(path) as temporary,
        open(temporary, "wb") as sink,
    ):
        shutil.copyfileobj(file, sink)
    return path


def pretrained_config(folder: Path) -> str | None:
    """Return the config of the checkpoint by Google that is unpacked in a folder, or None.

    `groovae.model.archives` puts the archive's SHA-256 into the folder's name.
    """
    for checkpoint in CHECKPOINTS.values():
        if folder.name.endswith(f".unpacked-{checkpoint.archive.sha256[:16]}"):
            return checkpoint.config
    return None


def _path(name: str, dest: str) -> Path:
    path = Path(dest).expanduser()
    return path / f"{name}.tar" if path.is_dir() or dest.endswith(os.sep) else path


def _check_sha256(path: Path, archive: RemoteFile) -> None:
    try:
        with open_regular(path) as file:
            sha256 = sha256_of(file)
    except OSError as error:
        raise GroovaeError(f"cannot read {path}: {error.strerror or error}") from error
    if sha256 != archive.sha256:
        raise GroovaeError(
            f"{path}: another file is there already: SHA-256 {sha256[:12]}..., expected "
            f"{archive.sha256[:12]}...; remove it or name another --dest"
        )
