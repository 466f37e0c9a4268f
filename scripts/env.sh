# shellcheck shell=bash
# Sourced by the other scripts: finds a Python, finds or installs uv, and defines
#
#   $root                             the repository
#   uv ARGS...                        run uv on this project, from any directory
#   make_environment [SYNC ARGS...]   install uv.lock into $UV_PROJECT_ENVIRONMENT (.venv)
#   find_python [3.X]                 set $python
#
# Needs no root rights, does not change the system's Python, downloads no Python and keeps the
# current directory. PYTHON=/path/to/python selects the Python. Runs on bash 3.2, which macOS has.

root=$(CDPATH='' cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
uv_minimum=0.7 # the oldest that checks and exports our uv.lock like the current one

say() { printf 'groovae: %s\n' "$*" >&2; }
fail() {
  say "$*"
  exit 1
}

# --- Python ---

# Print candidates for a Python, best first.
python_candidates() {
  if [ -n "${PYTHON:-}" ]; then
    printf '%s\n' "$PYTHON"
    return
  fi
  printf '%s\n' "$root/.venv/bin/python" # first, or uv would rebuild the environment of 3 GB
  local name
  for name in python3.13 python3.12 python3.11 python3.10 python3 python; do
    type -aP "$name" || true # all on PATH, since the first may be a broken pyenv shim
  done
  for name in 3.13 3.12 3.11 3.10; do
    printf '%s\n' "${PYENV_ROOT:-${HOME:-}/.pyenv}/versions/$name".*/bin/python
  done
}

# Print version and path of the Python $1, nothing if it does not run (a shim, a folder). Succeed if
# TensorFlow has wheels for it. The path is that of the base interpreter, as shims and environments
# may be removed. Python 2 must be able to parse these lines.
probe_python() {
  "$1" -Es -c '
import sys
version = sys.version_info[:2]
print("%d.%d %s" % (version + (getattr(sys, "_base_executable", None) or sys.executable,)))
sys.exit(not (
    (3, 10) <= version <= (3, 13)
    and sys.implementation.name == "cpython"
    and sys.maxsize > 2**32
    and "t" not in sys.abiflags  # free-threaded
))' 2>/dev/null </dev/null
}

# Set $python to the first usable candidate (of version 3.X, if given), else $misfits to those found.
find_python() {
  local candidate found
  misfits=
  while IFS= read -r candidate; do
    if found=$(probe_python "$candidate") && [[ $found == "${1:-${found%% *}} "* ]]; then
      python=${found#* }
      return
    fi
    [ -n "$found" ] || continue
    [[ ", $misfits, " == *", $found, "* ]] || misfits=$misfits${misfits:+, }$found
  done < <(python_candidates)
  return 1
}

# --- uv ---

# Succeed if $1 is a uv that runs and is new enough.
uv_fits() {
  local pattern='^uv ([0-9]+)\.([0-9]+)' version
  version=$("$1" --version 2>/dev/null) && [[ $version =~ $pattern ]] || return
  ((BASH_REMATCH[1] > 0 || BASH_REMATCH[2] >= ${uv_minimum#0.}))
}

# Set $uv_path. The last candidate is where install_uv puts it.
find_uv() {
  for uv_path in "$(type -P uv || true)" "${HOME:-}"/.local/bin/uv "${HOME:-}"/.cargo/bin/uv "$root/.uv/bin/uv"; do
    if uv_fits "$uv_path"; then return; fi
  done
  return 1
}

# Install uv with pip, which uses the user's mirrors and proxies.
uv_by_pip() {
  "$python" -m venv "$1/venv" &&
    "$1/venv/bin/python" -m pip install --quiet --retries 1 "uv>=$uv_minimum" &&
    mv "$1/venv/bin/uv" "$1/uv"
}

# Install uv with the standard library only, since Debian's Python has neither pip nor ensurepip.
uv_by_hand() {
  "$python" -I - "$1/uv" <<'EOF'
import hashlib, io, json, os, platform, sys, urllib.parse, urllib.request, zipfile

INDEX = "https://pypi.org/pypi/uv/json"


def get(url):
    # A mirror of PyPI may return relative URLs.
    with urllib.request.urlopen(urllib.parse.urljoin(INDEX, url), timeout=60) as response:
        return response.read()


try:
    # The musl build is static, so it runs on every Linux.
    system = {"Linux": "musllinux", "Darwin": "macosx"}.get(platform.system(), platform.system())
    machine = "_%s.whl" % platform.machine()
    files = json.loads(get(INDEX))["urls"]
    fitting = [f for f in files if system in f["filename"] and f["filename"].endswith(machine)]
    if not fitting:
        sys.exit("PyPI has no uv for " + system + machine)
    data = get(fitting[0]["url"])
    if hashlib.sha256(data).hexdigest() != fitting[0]["digests"]["sha256"]:
        sys.exit("checksum of " + fitting[0]["filename"] + " does not match")
    with zipfile.ZipFile(io.BytesIO(data)) as wheel, open(sys.argv[1], "wb") as file:
        file.write(next(wheel.read(name) for name in wheel.namelist() if name.endswith("/scripts/uv")))
    os.chmod(sys.argv[1], 0o755)
except Exception as error:  # one line instead of a traceback
    sys.exit("%s: %s" % (type(error).__name__, error))
EOF
}

# Prepared in a temporary folder and moved, so that an interrupted run leaves no partial uv.
install_uv() (
  say "installing uv into .uv"
  advice="run again, or install uv yourself (https://docs.astral.sh/uv)"
  if ! new=$(mkdir -p "$root/.uv/bin" 2>&1 && mktemp -d "$root/.uv/new.XXXXXX" 2>&1); then
    fail "cannot write to $root ($new): copy the folder to a writable disk with free space, and $advice"
  fi
  trap 'rm -rf "$new"' EXIT
  if ! uv_by_pip "$new" >/dev/null 2>&1 && ! reason=$(uv_by_hand "$new" 2>&1); then
    fail "cannot install uv ($reason): check network and disk, and $advice"
  fi
  uv_fits "$new/uv" || fail "the installed uv does not run on this machine: $advice"
  mv -f "$new/uv" "$root/.uv/bin/uv"
)

uv() { "$uv_path" --project "$root" "$@"; }

# --- the environment ---

# --frozen: install uv.lock as it is. --inexact: keep other packages, so that the demo does not
# remove the tools of the tests, or CUDA.
make_environment() {
  local status=0
  [ -x "$UV_PROJECT_ENVIRONMENT/bin/groovae" ] || say "installing the environment (about 3 GB, once)"
  uv sync --frozen --inexact "$@" || status=$?
  case $status in
  0) ;;
  130) exit 130 ;; # Ctrl-C needs no advice
  *) fail "uv could not install the environment, see above. No network: run again, downloads are kept." \
    "Disk full: 3 GB are needed in $root and in $(uv cache dir). Otherwise: remove $UV_PROJECT_ENVIRONMENT and run again." ;;
  esac
}

# Packages of other environments must not come first; without bytecode, each import of TensorFlow
# takes half a minute instead of five seconds.
unset VIRTUAL_ENV PYTHONHOME PYTHONPATH PYTHONDONTWRITEBYTECODE

if ! find_python; then
  wanted="a 64-bit CPython 3.10 to 3.13"
  if [ -n "${PYTHON:-}" ]; then
    fail "PYTHON=$PYTHON is not $wanted (${misfits:-it does not run}): set another one, or unset it"
  fi
  fail "no Python found that is $wanted${misfits:+ (only $misfits)}:" \
    "install one, or set its path: PYTHON=/path/to/python3.12 bash $0"
fi
export UV_PYTHON=$python UV_PYTHON_DOWNLOADS=never UV_PROJECT_ENVIRONMENT=$root/.venv
find_uv || install_uv
