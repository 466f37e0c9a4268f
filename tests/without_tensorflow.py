"""Run Python where TensorFlow, Magenta and note_seq cannot be imported, or without a network."""

import subprocess
import sys

HEAVY = ("tensorflow", "tf_keras", "tf_slim", "magenta", "note_seq")


BLOCKED = f"""
import sys
HEAVY = {HEAVY}
def block(event, arguments):
    package = arguments[0].split(".")[0] if event == "import" else None
    if package in HEAVY:
        raise ModuleNotFoundError(f"No module named {{package!r}}", name=package)
sys.addaudithook(block)
"""


def run_blocked(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    """Run code where importing TensorFlow, Magenta or note_seq raises a ModuleNotFoundError."""
    return subprocess.run(
        [sys.executable, "-c", BLOCKED + code, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


OFFLINE = """
import sys
def offline(event, arguments):
    if event.startswith("socket."):
        raise OSError("no network")
sys.addaudithook(offline)
from groovae.cli.main import main
sys.exit(main())
"""
