"""Workarounds of upstream bugs: that each works, and that it is still needed.

When a test named `..._still_...` fails, upstream is fixed and its workaround can be removed.
"""

import importlib
import inspect
import itertools
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from google.protobuf import text_format
from without_tensorflow import SAME_NOTE_SEQUENCE

from groovae import upstream
from groovae.config import config_map
from groovae.errors import GroovaeError
from groovae.upstream import converter_script, lstm_models, magenta_configs, tf

TUNEBOOK = "X:1\nT:Test\nM:4/4\nL:1/4\nQ:120\nK:C\nCDEF|GABc|\n"


def _python(code: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, **env},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


PAGE_FAULTS = """
import ctypes, json, resource, sys
from groovae.upstream import keep_freed_memory
libc = ctypes.CDLL(None)
if not hasattr(libc, "mallopt"):
    sys.exit()
libc.malloc.restype = libc.memset.restype = ctypes.c_void_p
def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(200 << 20)))
    libc.memset(block, 1, ctypes.c_size_t(200 << 20))
    libc.free(block)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before
given_back = [faults(), faults()]
keep_freed_memory()
print(json.dumps([given_back, [faults(), faults()]]))
"""


@pytest.fixture(scope="module")
def debugged() -> subprocess.CompletedProcess[str]:
    """An import with GROOVAE_DEBUG, and page faults before and after `keep_freed_memory`."""
    return _python(PAGE_FAULTS, GROOVAE_DEBUG="1")


def test_imports_are_silent_and_lazy_and_keras_2_is_used():
    """Whatever the environment says about Keras, and after NoteSequence was imported without it."""
    result = _python(
        "import gc, sys\n"
        "from groovae.music.note_sequence import NoteSequence\n"
        "from groovae.upstream import note_seq, tf, tf_slim\n"
        "for stream in (sys.stdout, sys.stderr): print('imported', file=stream, flush=True)\n"
        "assert not {'bokeh', 'IPython', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert gc.isenabled() and len(gc.get_objects()) < 50_000 < gc.get_freeze_count()\n"
        f"{SAME_NOTE_SEQUENCE}\n"
        "note_seq.play_sequence(sequence)\n"  # prints its HTML outside of notebooks
        "assert {'bokeh', 'IPython'} <= set(sys.modules)\n"
        "import note_seq.notebook_utils, pandas, sklearn.metrics\n"
        "assert note_seq.notebook_utils.colab_play\n"
        "from groovae.config.config_map import get_config\n"
        "config = get_config(); config.model.build(config.hparams, 27, is_training=True)",
        TF_USE_LEGACY_KERAS="0",
    )
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("imported\n")
    assert result.stderr.startswith("imported\n")


def test_imports_still_print_and_debug_shows_it(debugged: subprocess.CompletedProcess[str]):
    assert debugged.returncode == 0
    assert "deprecated" in debugged.stderr


def test_upstream_packages_still_import_unneeded_packages_and_need_keras_2():
    result = _python(
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '0'\n"
        "import gc, sys, tf_keras\n"
        "assert 'pandas' in sys.modules\n"
        "import note_seq, tf_slim\n"
        "assert {'bokeh', 'IPython', 'sklearn'} <= set(sys.modules)\n"
        "assert len(gc.get_objects()) > 200_000\n"
        "print('imported')\n"
        "from magenta.models.music_vae.configs import CONFIG_MAP"
    )
    assert result.stdout == "imported\n", result.stderr
    assert result.returncode != 0
    assert "not available with Keras 3" in result.stderr


def test_abc_parser_still_cannot_read_bytes():
    with pytest.raises(TypeError):
        upstream.parse_abc_text(TUNEBOOK.encode())


def test_patched_abc_parser_reads_bytes():
    tunes, broken = converter_script.abc_parser.parse_abc_tunebook(TUNEBOOK.encode())
    assert (len(tunes), broken) == (1, [])


def test_rnn_loops_still_run_32_steps_in_parallel():
    for loop, ours, default in (
        (upstream.decoder_loop, lstm_models.contrib_seq2seq.dynamic_decode, 32),
        (upstream.encoder_loop, lstm_models.contrib_rnn.stack_bidirectional_dynamic_rnn, None),
    ):
        assert inspect.signature(loop).parameters["parallel_iterations"].default == default
        assert inspect.signature(ours).parameters["parallel_iterations"].default == 1


def test_tensorflow_still_ignores_a_truncated_record_header(tmp_path: Path):
    (tmp_path / "short").write_bytes(b"short")
    assert list(tf.python_io.tf_record_iterator(str(tmp_path / "short"))) == []
    with pytest.raises(tf.errors.DataLossError):
        list(upstream.read_records(str(tmp_path / "short")))


def test_without_magenta_the_install_command_is_the_error(monkeypatch: pytest.MonkeyPatch):
    """Commands print such an error in one line; see test_lite.py."""
    for name in [*sys.modules]:
        if name == "groovae.upstream" or name.split(".")[0] == "magenta":
            monkeypatch.delitem(sys.modules, name)
    # None in sys.modules makes an import raise ModuleNotFoundError.
    monkeypatch.setitem(sys.modules, "magenta", None)
    with pytest.raises(GroovaeError, match=r"^[^\n]*pip install --no-deps magenta==2\.1\.4[^\n]*$"):
        importlib.import_module("groovae.upstream")


def test_magentas_configs_are_unchanged():
    assert magenta_configs.CONFIG_MAP["groovae_4bar"].train_examples_path is None


def test_fast_graph_printing_gives_the_same_graph():
    with tf.Graph().as_default() as graph:
        tf.constant([1.5, float("nan"), -0.0], name="x")
        config_map.get_config().model.build(config_map.get_config().hparams, 27, is_training=True)
    graph_def = graph.as_graph_def()
    printed = [print_text(graph_def) for print_text in (upstream.slow_print_graph, str)]
    read = [text_format.Parse(text, tf.GraphDef()) for text in printed]
    assert read[0].SerializeToString(deterministic=True) == read[1].SerializeToString(
        deterministic=True
    )
    assert upstream.graph_io.text_format.MessageToString is str


def test_freed_memory_is_reused(debugged: subprocess.CompletedProcess[str]):
    """With glibc, allocating a freed block again causes no page faults."""
    if not debugged.stdout:
        pytest.skip("another C library")
    given_back, kept = json.loads(debugged.stdout.splitlines()[-1])
    assert min(given_back) > 1000, given_back
    assert kept[1] < 100, kept


def test_timers_go_on_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    now = itertools.count(1e9, -3600)
    monkeypatch.setattr(time, "time", lambda: next(now))
    timer = tf.train.SecondOrStepTimer(every_secs=0.01)
    timer.update_last_triggered_step(1)
    time.sleep(0.02)
    assert timer.should_trigger_for_step(2)
    seconds, steps = timer.update_last_triggered_step(2)
    assert (0 < seconds < 60, steps) == (True, 1)


def test_timers_still_use_the_time_of_day() -> None:
    assert "time.time()" in inspect.getsource(upstream.timers.SecondOrStepTimer)
