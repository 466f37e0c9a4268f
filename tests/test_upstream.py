"""Each workaround of an upstream bug: what it does, and whether upstream still needs it.

A test named `..._still_...` fails when upstream is fixed. Then its workaround can go.
"""

import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import assert_one_line
from google.protobuf import text_format

from groovae import upstream
from groovae.config import config_map
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


def test_imports_are_silent():
    result = _python("import groovae.upstream")
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_upstream_still_talks_and_debug_shows_it():
    result = _python("import groovae.upstream", GROOVAE_DEBUG="1")
    assert result.returncode == 0
    assert "deprecated" in result.stderr


def test_a_foreign_keras_setting_does_no_harm():
    result = _python(
        "from groovae.config.config_map import get_config; from groovae.upstream import tf\n"
        "config = get_config(); config.model.build(config.hparams, 27, is_training=True)",
        TF_USE_LEGACY_KERAS="0",
    )
    assert result.returncode == 0, result.stderr


def test_keras_3_still_cannot_build_the_model():
    result = _python(
        "import os; os.environ['TF_USE_LEGACY_KERAS'] = '0'\n"
        "import tensorflow.compat.v1 as tf; tf.disable_v2_behavior()\n"
        "from magenta.models.music_vae.configs import CONFIG_MAP\n"
        "config = CONFIG_MAP['groovae_4bar']; config.model.build(config.hparams, 27, True)"
    )
    assert result.returncode != 0


def test_the_abc_parser_still_cannot_read_bytes():
    with pytest.raises(TypeError):
        upstream.parse_abc_text(TUNEBOOK.encode())


def test_magentas_abc_converter_works_with_ours():
    tunes, broken = converter_script.abc_parser.parse_abc_tunebook(TUNEBOOK.encode())
    assert (len(tunes), broken) == (1, [])


def test_rnn_loops_still_run_32_steps_at_once():
    for loop, ours, default in (
        (upstream.decoder_loop, lstm_models.contrib_seq2seq.dynamic_decode, 32),
        (upstream.encoder_loop, lstm_models.contrib_rnn.stack_bidirectional_dynamic_rnn, None),
    ):
        assert inspect.signature(loop).parameters["parallel_iterations"].default == default
        assert inspect.signature(ours).parameters["parallel_iterations"].default == 1


def test_tensorflow_still_reads_no_records_in_what_is_no_tfrecord(tmp_path: Path):
    (tmp_path / "short").write_bytes(b"short")
    assert list(tf.python_io.tf_record_iterator(str(tmp_path / "short"))) == []
    with pytest.raises(tf.errors.DataLossError):
        list(upstream.read_records(str(tmp_path / "short")))


def test_without_magenta_the_program_says_the_line_to_run():
    # With None in its place the import system says that there is no such module.
    code = (
        "import sys; sys.modules['magenta'] = None; "
        "from groovae.cli.main import main; sys.exit(main())"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, "sample", "--checkpoint=."],
        capture_output=True,
        text=True,
        check=False,
    )
    assert_one_line(result, 1, "pip install --no-deps magenta==2.1.4")
    assert len(result.stderr.splitlines()) == 1


def test_magentas_own_configs_are_untouched():
    assert magenta_configs.CONFIG_MAP["groovae_4bar"].train_examples_path is None


def test_keras_note_seq_and_tf_slim_still_import_what_they_seldom_need():
    result = _python(
        "import gc, sys, tf_keras\n"
        "assert 'pandas' in sys.modules, 'no need to put it off'\n"
        "import note_seq, tf_slim\n"
        "assert {'bokeh', 'IPython', 'sklearn'} <= set(sys.modules), 'no need to put them off'\n"
        "assert len(gc.get_objects()) > 200_000, 'no need to leave them out of collection'"
    )
    assert result.returncode == 0, result.stderr


def test_what_is_put_off_still_comes_when_asked_for():
    result = _python(
        "import gc, sys\n"
        "from groovae.upstream import note_seq, tf_slim\n"
        "assert not {'bokeh', 'IPython', 'pandas', 'sklearn'} & set(sys.modules)\n"
        "assert gc.isenabled() and len(gc.get_objects()) < 50_000 < gc.get_freeze_count()\n"
        "sequence = note_seq.NoteSequence(total_time=1)\n"
        "sequence.notes.add(pitch=36, velocity=90, end_time=1)\n"
        "note_seq.play_sequence(sequence)\n"  # prints what it would show in a notebook
        "assert {'bokeh', 'IPython'} <= set(sys.modules)\n"
        "import note_seq.notebook_utils, pandas, sklearn.metrics\n"
        "assert note_seq.notebook_utils.colab_play"
    )
    assert result.returncode == 0, result.stderr


def test_graphs_are_printed_as_the_same_text_by_c():
    with tf.Graph().as_default() as graph:
        tf.constant([1.5, float("nan"), -0.0], name="x")
        config_map.get_config().model.build(config_map.get_config().hparams, 27, is_training=True)
    graph_def = graph.as_graph_def()
    printed = [print_text(graph_def) for print_text in (upstream.print_graph, str)]
    read = [text_format.Parse(text, tf.GraphDef()) for text in printed]
    assert read[0].SerializeToString(deterministic=True) == read[1].SerializeToString(
        deterministic=True
    )
    assert upstream.graph_io.text_format.MessageToString is str


def test_freed_memory_is_kept():
    """Where the C library is glibc: a block that is freed needs no new pages the next time."""
    result = _python(
        "import ctypes, resource, sys\n"
        "from groovae.upstream import keep_freed_memory\n"
        "libc = ctypes.CDLL(None)\n"
        "if not hasattr(libc, 'mallopt'): sys.exit(77)\n"
        "libc.malloc.restype = libc.memset.restype = ctypes.c_void_p\n"
        "def faults():\n"
        "    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt\n"
        "    block = ctypes.c_void_p(libc.malloc(ctypes.c_size_t(200 << 20)))\n"
        "    libc.memset(block, 1, ctypes.c_size_t(200 << 20))\n"
        "    libc.free(block)\n"
        "    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before\n"
        "given_back = [faults(), faults()]\n"
        "keep_freed_memory()\n"
        "kept = [faults(), faults()]\n"
        "assert min(given_back) > 1000, given_back\n"
        "assert kept[1] < 100, kept"
    )
    if result.returncode == 77:
        pytest.skip("another C library")
    assert result.returncode == 0, result.stderr
