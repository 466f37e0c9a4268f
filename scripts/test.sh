#!/usr/bin/env bash
# Run all checks: uv.lock matches pyproject.toml, requirements.txt matches uv.lock, ruff, mypy, import
# layers, the documentation builds, pytest, no file left behind. The last line names those that failed.
#
#   bash scripts/test.sh                          in .venv, tests on all cores
#   bash scripts/test.sh -x tests/music           arguments go to pytest, paths from the repository
#   bash scripts/test.sh --all-pythons [ARGS...]  only the fast tests, on every Python 3.10 to 3.13
#                                                 found, each in .venvs/3.X (3 GB)
#
# Runs from any directory. The first run makes the environment; see env.sh.
set -euo pipefail

# shellcheck source=scripts/env.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"
cd "$root" # where ruff, mypy and pytest look for pyproject.toml
trap 'exit 130' INT # pytest survives Ctrl-C to report; we should not go on with the next check

if [ -z "${GROOVAE_SHARED:-}" ] && [ -d "$root/../shared" ]; then
  export GROOVAE_SHARED="$root/../shared"
fi

failed=
check() { # NAME COMMAND...
  local name=$1
  shift
  printf '\n== %s\n' "$name"
  "$@" || failed=$failed${failed:+, }$name
}

# Run a check on another core; `finish_checks` shows what it wrote.
started=()
start() { # NAME COMMAND...
  local name=$1
  shift
  "$@" >"$logs/$name" 2>&1 &
  started+=("$! $name")
}

finish_checks() {
  local each
  for each in "${started[@]}"; do
    check "${each#* }" finished "${each%% *}" "${each#* }"
  done
}

finished() { # PROCESS NAME
  local status=0
  wait "$1" || status=$?
  cat "$logs/$2"
  return "$status"
}

# Without comments: the header is ours.
requirements_match_lock() {
  diff <(grep -v '^#' requirements.txt) \
    <(uv export --quiet --frozen --no-dev --no-emit-project --no-hashes --no-annotate --no-header)
}

documentation_builds() ( # into a temporary folder
  site=$(mktemp -d)
  trap 'rm -rf "$site"' EXIT
  NO_MKDOCS_2_WARNING=1 mkdocs --quiet build --strict --site-dir "$site"
)

untracked_files() { git ls-files --others --exclude-standard 2>/dev/null || true; }

fast_tests_in() ( # PYTHON ENVIRONMENT PYTEST ARGS...
  export UV_PYTHON=$1 UV_PROJECT_ENVIRONMENT=$2
  shift 2
  make_environment --group dev
  PATH=$UV_PROJECT_ENVIRONMENT/bin:$PATH pytest --numprocesses=auto --dist=worksteal -m "not slow" "$@"
)

if [ "${1:-}" = --all-pythons ]; then
  shift
  table=
  for version in 3.10 3.11 3.12 3.13; do
    result="not found"
    if find_python "$version"; then
      result=passed
      check "Python $version" fast_tests_in "$python" "$root/.venvs/$version" "$@"
      [[ $failed != *"$version" ]] || result=failed
    fi
    table=$table$(printf '%-8s%s' "$version" "$result")$'\n'
  done
  printf '\n%s' "$table"
  [[ $table == *passed* ]] || failed=${failed:-no Python tested}
else
  make_environment --group dev --group docs
  PATH=$root/.venv/bin:$PATH
  logs=$(mktemp -d)
  trap 'kill $(jobs -p) 2>/dev/null || true; rm -rf "$logs"' EXIT
  untracked=$(untracked_files)
  start "mypy" nice mypy # beside the quick checks and pytest, which often waits
  start "mkdocs build --strict" documentation_builds
  # Needs no network as long as the lock matches.
  check "uv lock --check" uv lock --check
  check "requirements.txt" requirements_match_lock
  check "ruff check" ruff check groovae scripts tests # named, since .venvs may not be ignored
  check "ruff format" ruff format --check groovae scripts tests
  check "lint-imports" lint-imports
  # Compiles TensorFlow once, not at the same time in each process of pytest.
  check "import groovae.upstream" python -c "import groovae.upstream"
  check "pytest" pytest --numprocesses=auto --dist=worksteal --durations=20 "$@"
  finish_checks
  check "no file left behind" diff <(printf '%s\n' "$untracked") <(printf '%s\n' "$(untracked_files)")
fi

[ -z "$failed" ] || fail "FAILED: $failed"
say "all passed"
