"""The command `groovae studio` as a process."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from conftest import Groovae, assert_one_line
from without_tensorflow import run_blocked

from groovae.generation.bundled import FOLDER, TASK_FOLDERS
from groovae.music.midi_writer import write_sequence
from groovae.studio.grooves import from_json

pytest.importorskip("onnxruntime")


def ask(url: str, body: Any = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    with urllib.request.urlopen(urllib.request.Request(url, data), timeout=60) as response:
        return json.load(response)


def test_opens_browser_and_files_and_ends_at_once_while_a_model_runs(tmp_path: Path) -> None:
    hits = [{"beat": beat / 2, "pitch": 36 + beat % 8, "velocity": 90} for beat in range(24)]
    write_sequence(tmp_path / "드럼 테이크.mid", from_json({"bars": 3, "hits": hits}))
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    environment = {**os.environ, "BROWSER": f"{browser} %s", "DISPLAY": ":0"}
    arguments = ["드럼 테이크.mid", f"--checkpoint={TASK_FOLDERS['humanize']}"]
    with subprocess.Popen(
        [sys.executable, "-m", "groovae", "studio", *arguments, f"--checkpoint={FOLDER}"],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout
        assert process.stderr
        url = process.stdout.readline().strip()
        (groove,) = ask(f"{url}api/files")["grooves"]
        assert (groove["name"], groove["bars"], len(groove["hits"])) == ("드럼 테이크", 3, 24)
        assert len(ask(f"{url}api/about")["checkpoints"]) == 2
        long = {**groove, "bars": 2000}
        long["hits"] = [{**groove["hits"][0], "beat": beat / 2} for beat in range(16_000)]
        request = threading.Thread(
            target=pytest.raises, args=(Exception, ask, f"{url}api/humanize", {"groove": long})
        )
        request.start()
        time.sleep(0.7)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=20) == 130
        request.join()
        assert (tmp_path / "opened").read_text().strip() == url
        stderr = process.stderr.read()
        assert "Traceback" not in stderr
        assert "Ctrl-C" in stderr


def test_needs_no_tensorflow() -> None:
    result = run_blocked(
        "import json, threading, urllib.request\n"
        "from groovae.cli.commands import studio\n"
        "from groovae.studio.models import Models\n"
        "from groovae.studio.server import StudioServer\n"
        "models = Models()\n"
        "models.warm_up()\n"
        "with StudioServer(models) as server:\n"
        "    threading.Thread(target=server.serve_forever, daemon=True).start()\n"
        "    with urllib.request.urlopen(f'{server.url}api/sample', b'{}') as answer:\n"
        "        assert json.load(answer)['grooves'][0]['hits']\n"
        "found = {name for name in sys.modules if name.split('.')[0] in HEAVY}\n"
        "assert found == {'note_seq.protobuf.music_pb2'}, found",
    )
    assert result.returncode == 0, result.stderr


def test_wrong_files_and_models_are_errors_of_one_line(in_process: Groovae, tmp_path: Path) -> None:
    (tmp_path / "no.mid").write_bytes(b"no MIDI")
    assert_one_line(in_process("studio", "missing.mid"), 1, "missing.mid")
    assert_one_line(in_process("studio", "no.mid"), 1, "no.mid")
    assert_one_line(in_process("studio", "--soundfont=no.mid"), 1, "no.mid")
    assert_one_line(in_process("studio", "--port=70000"), 2, "port")
