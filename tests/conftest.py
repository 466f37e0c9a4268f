"""Fixtures and helpers that several test files use.

The Groove MIDI Dataset and the outputs of the original Magenta are outside the repository, in the
folder GROOVAE_SHARED (an environment variable; default `../shared`). Tests that need them skip if
it is missing.
"""

import contextlib
import functools
import gc
import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from browser import chromium
from filelock import FileLock
from hypothesis import settings

if TYPE_CHECKING:
    import web_export

# Some tests send Ctrl-C, which processes started in the background of a shell ignore.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Each core has a worker of pytest-xdist: further threads only wait, at full load.
for threads in ("OPENBLAS_NUM_THREADS", "TF_NUM_INTEROP_THREADS", "TF_NUM_INTRAOP_THREADS"):
    os.environ.setdefault(threads, "1")

# No deadline: the first example may import TensorFlow. 50 examples, as each run draws others.
settings.register_profile("groovae", deadline=None, max_examples=50)
settings.load_profile("groovae")

ROOT = Path(__file__).resolve().parent.parent
SHARED = Path(os.environ.get("GROOVAE_SHARED", ROOT.parent / "shared"))

# Hparams of the checkpoint of native_magenta/README.md.
SMALL_HPARAMS = (
    "batch_size=64,enc_rnn_size=[64],dec_rnn_size=[48,48],z_size=32,free_bits=6,"
    "dropout_keep_prob=1.0"
)
# The smallest model. More layers, which take longer to build, are in test_every_hparam.py.
TINY_HPARAMS = "batch_size=8,enc_rnn_size=[8],dec_rnn_size=[8],z_size=4"
# A model that learns a few performances within seconds.
QUICK_HPARAMS = (
    "batch_size=32,enc_rnn_size=[64],dec_rnn_size=[64],z_size=8,free_bits=0,max_beta=0.05,"
    "dropout_keep_prob=1.0,learning_rate=0.02,decay_rate=0.985"
)

INFO_CSV = """\
drummer,session,id,style,bpm,beat_type,time_signature,midi_filename,duration,split
drummer1,s1,d1/1,funk/groove1,100,beat,4-4,a.mid,1800,train
drummer1,s1,d1/2,funk,120,fill,4-4,b.mid,36,train
drummer2,s1,d2/1,rock,90,beat,6-8,c.mid,5400,test
"""

# The pitches of Magenta's ROLAND_DRUM_PITCH_CLASSES.
KNOWN_PITCHES = [22, 26, *range(36, 39), 40, *range(42, 54), 55, *range(57, 60)]

Groovae = Callable[..., subprocess.CompletedProcess[str]]
Export = Callable[[str], Path]


def _shared(*parts: str) -> Path:
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"{path} is not there; GROOVAE_SHARED names the folder that holds it")
    return path


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Headless Chromium."""
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def equal_batches() -> Iterator[None]:
    """Evaluate in batches of one size, since each size needs a graph, which is slow to build."""
    from groovae.training import losses

    def batches(windows: Any, batch_size: int) -> Any:
        divisors = (size for size in range(1, batch_size + 1) if len(windows) % size == 0)
        return evaluation_batches(windows, max(divisors))

    evaluation_batches = losses.evaluation_batches
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(losses, "evaluation_batches", batches)
        yield


@pytest.fixture
def cache_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Keep a test out of the cache of the user who runs it."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture(scope="session")
def gmd() -> Path:
    """The Groove MIDI Dataset."""
    return _shared("groove")


@pytest.fixture(scope="session")
def cases() -> Path:
    """Odd MIDI files, and what is right for them."""
    return _shared("cases", "midi")


@pytest.fixture(scope="session")
def native() -> Path:
    """Outputs of Magenta 2.1.4 on its own pins."""
    return _shared("reference", "native_magenta")


@pytest.fixture(scope="session")
def gmd_records(gmd: Path, shared_folder: Path) -> Path:
    """A TFRecord of the Groove MIDI Dataset: 1,150 sequences, 5,108 windows."""
    return _converted(gmd, shared_folder / "gmd" / "music.tfrecord")


@pytest.fixture(scope="session")
def gmd_test_records(gmd: Path, shared_folder: Path) -> Path:
    """A TFRecord of the test split of the Groove MIDI Dataset, and its report beside it."""
    from groovae.config import config_map
    from groovae.data.preprocess import PreprocessOptions

    layout = config_map.layout("groovae_4bar")
    options = PreprocessOptions(split="test", layout=layout, config="groovae_4bar")
    return _converted(gmd, shared_folder / "gmd-test" / "test.tfrecord", options=options)


def _converted(folder: Path, path: Path, **options: Any) -> Path:
    """Return a TFRecord of the MIDI files of a folder, which one worker converts for all."""
    from groovae.data.preprocess import convert_directory

    with only_once(path.parent):
        if not path.exists():
            convert_directory(folder, path, **options)
    return path


@pytest.fixture
def groovae(tmp_path: Path) -> Groovae:
    """Run the command line in a subprocess, in an empty folder."""

    def run(
        *arguments: object, timeout: float = 300, **env: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "groovae", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    return run


@pytest.fixture
def in_process(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Groovae:
    """Run the command line in this process, with TensorFlow loaded, in an empty folder."""
    from groovae.cli.main import main

    monkeypatch.chdir(tmp_path)

    def run(*arguments: object, timeout: float = 0, **env: str) -> subprocess.CompletedProcess[str]:
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        capsys.readouterr()
        code = main([*map(str, arguments)])
        return subprocess.CompletedProcess([*map(str, arguments)], code, *capsys.readouterr())

    return run


@pytest.fixture
def small_dataset(tmp_path: Path) -> Path:
    """A folder like the Groove MIDI Dataset, with two of the three files of its info.csv."""
    (tmp_path / "info.csv").write_text(INFO_CSV)
    (tmp_path / "a.mid").touch()
    (tmp_path / "c.mid").touch()
    return tmp_path


@pytest.fixture(scope="session")
def patterns(shared_folder: Path) -> Path:
    """The embedded drum patterns as 100 MIDI files and an info.csv; do not change them."""
    from groovae.data.patterns import write_dataset

    folder = shared_folder / "patterns"
    with only_once(folder):
        if not (folder / "info.csv").exists():
            write_dataset(folder)
    return folder


@pytest.fixture(scope="session")
def records(patterns: Path, shared_folder: Path) -> Path:
    """A TFRecord of the embedded drum patterns: 100 sequences, 200 windows."""
    return _converted(patterns, shared_folder / "records" / "music.tfrecord")


@pytest.fixture(scope="session")
def few_patterns(records: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five of the patterns in `records`: ten windows, which are evaluated in one batch."""
    from groovae.data.records import find

    path = tmp_path_factory.mktemp("few") / "few.tfrecord"
    return write_records(path, *itertools.islice(find(records), 5))


@pytest.fixture(scope="session")
def trained(records: Path, shared_folder: Path) -> Path:
    """The training folder of a tiny groovae_4bar with steps 0, 1, 2 and 3; do not change it."""
    from groovae.training.train import TrainOptions, train

    train_dir = shared_folder / "trained"
    options = TrainOptions(
        str(train_dir),
        str(records),
        hparams=TINY_HPARAMS,
        num_steps=3,
        seed=1,
        save_checkpoint_steps=1,
    )
    with only_once(train_dir):
        if not (train_dir / "model.ckpt-3.index").exists():
            train(options)
    return train_dir


@pytest.fixture(scope="session")
def few_records(gmd: Path, shared_folder: Path) -> Path:
    """A TFRecord of 24 long performances of the Groove MIDI Dataset."""
    from groovae.data.preprocess import convert_directory

    path = shared_folder / "few.tfrecord"
    with only_once(path):
        if not path.exists():
            (shared_folder / "few").mkdir()
            beats = sorted(gmd.glob("drummer1/session1/*_beat_4-4.mid"))
            for beat in sorted(beats, key=lambda file: file.stat().st_size)[-24:]:
                shutil.copy(beat, shared_folder / "few")
            convert_directory(shared_folder / "few", path)
    return path


@pytest.fixture(scope="session")
def trained_for(few_records: Path, shared_folder: Path) -> Callable[[str], Path]:
    """Return the training folder of a small model for a task.

    The tasks on two bars, which see a part of the groove, learn sooner than whole grooves.
    """
    from groovae.config.tasks import config_for
    from groovae.training.train import TrainOptions, train

    def folder_of(task: str) -> Path:
        config = config_for(task)
        num_steps = 200 if config == "groovae_4bar" else 60
        options = TrainOptions(
            str(shared_folder / config),
            str(few_records),
            config=config,
            hparams=QUICK_HPARAMS,
            hop_bars=1,
            num_steps=num_steps,
            seed=1,
        )
        with only_once(Path(options.train_dir)):
            if not Path(options.train_dir, f"model.ckpt-{num_steps}.index").exists():
                train(options)
        return Path(options.train_dir)

    return folder_of


@pytest.fixture(scope="session")
def exported(trained_for: Callable[[str], Path], shared_folder: Path) -> Export:
    """Returns the ONNX export of the model that `trained_for` trains for a task."""
    pytest.importorskip("onnx")

    def folder_of(task: str) -> Path:
        from groovae.export.onnx import export

        checkpoint = trained_for(task)
        out = shared_folder / f"{checkpoint.name}-onnx"
        with only_once(out):
            if not out.exists():
                export(checkpoint, out)
        return out

    return folder_of


@pytest.fixture(scope="session")
def exports(tmp_path_factory: pytest.TempPathFactory) -> "web_export.Exports":
    """Return a function from the name of a config to the ONNX export of a random model for it."""
    import web_export

    @functools.cache
    def export_config(name: str = "groovae_4bar") -> "web_export.OnnxExport":
        return web_export.export_random_onnx(
            tmp_path_factory.mktemp(name), name, web_export.LAYERED
        )

    return export_config


def pytest_collection_finish() -> None:
    """Spare the garbage collector the half a million objects that live until the end."""
    gc.freeze()
    gc.set_threshold(5_000)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run slow tests first, so that all workers of pytest-xdist end at about the same time."""
    items.sort(key=lambda item: "slow" not in item.keywords)


@pytest.fixture(scope="session")
def shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all workers of pytest-xdist, which have different base folders."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "shared"
    folder.mkdir(exist_ok=True)
    return folder


@contextlib.contextmanager
def only_once(path: Path) -> Iterator[None]:
    """Hold a lock while `path` is made, so that parallel test workers make it once."""
    with FileLock(f"{path}.lock"):
        yield


@contextlib.contextmanager
def file_size_limit(size_bytes: int) -> Iterator[None]:
    """Make writes past this size of a file fail."""
    import resource

    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size_bytes, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


@contextlib.contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Path]:
    """Mount a file system of this size, such as 64k, at `folder`; skip the test if not root."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("cannot mount a file system here")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def assert_one_line(result: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """Assert the exit code, no traceback, and a last line on stderr that contains `words`."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("groovae"), result.stderr
    for word in words:
        assert word in last, last


def a_groove(
    bars: int = 4,
    tempos: Sequence[tuple[float, float]] = ((0, 120),),
    meters: Sequence[tuple[float, int, int]] = ((0, 4, 4),),
    first_at: float = 0.0,
    name: str = "groove.mid",
    **note: Any,
) -> Any:
    """Return eighths at 120 qpm on the known drums in turn, as `preprocess` stores them."""
    from groovae.upstream import note_seq

    sequence = note_seq.NoteSequence(id=f"/id/{name}", filename=name, ticks_per_quarter=480)
    for time, qpm in tempos:
        sequence.tempos.add(time=time, qpm=qpm)
    for time, numerator, denominator in meters:
        sequence.time_signatures.add(time=time, numerator=numerator, denominator=denominator)
    for i in range(bars * 8):
        values = {
            "pitch": KNOWN_PITCHES[i % len(KNOWN_PITCHES)],
            "velocity": 40 + i % 80,
            "is_drum": True,
        }
        start_time = first_at + i / 4 + 0.01 * (i % 3)
        sequence.notes.add(start_time=start_time, end_time=start_time + 0.1, **values | note)
    return sequence


def write_records(path: Path, *records: Any) -> Path:
    """Write a TFRecord of bytes or messages."""
    from groovae.upstream import tf

    with tf.io.TFRecordWriter(str(path)) as writer:
        for record in records:
            writer.write(record if isinstance(record, bytes) else record.SerializeToString())
    return path


@contextlib.contextmanager
def ordinary_user() -> Iterator[None]:
    """Run as a user who may not read everything, as root may."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)
