#!/usr/bin/env bash
# Train with a cluster of processes on this machine: 1 parameter server, the chief and N workers,
# each a `groovae train` with its own TF_CONFIG, on free ports of 127.0.0.1.
#
#   bash scripts/train_cluster.sh 2 --num_steps=1000                       asynchronous
#   bash scripts/train_cluster.sh 2 --num_steps=1000 --num_sync_workers=3  the chief counts as one
#
# N is 0 or more; further arguments go to every `groovae train`, with paths relative to the caller.
# Each line of output begins with the name of its process, such as `worker0: `. On Ctrl-C or SIGTERM
# the chief saves a checkpoint, and the same command resumes there. The exit code is the chief's; if
# the chief fails, the others are killed. Killed processes are not restarted: start all again.
#
# For clusters of several machines, see docs/scaling.md. On one machine one process is as fast,
# since TensorFlow uses all cores.
set -euo pipefail

# shellcheck source=scripts/env.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"

workers=${1:-}
[[ $workers =~ ^[0-9]{1,3}$ ]] ||
  fail "usage: bash scripts/train_cluster.sh N [groovae train flags], N workers beside the chief"
workers=$((10#$workers))
shift
make_environment --no-dev

# The cluster of TF_CONFIG, on ports that are free now; they are not reserved.
cluster=$("$UV_PROJECT_ENVIRONMENT/bin/python" - "$workers" <<'PYTHON'
import json, socket, sys

sockets = [socket.socket() for _ in range(2 + int(sys.argv[1]))]
for one in sockets:
    one.bind(("127.0.0.1", 0))
ps, chief, *workers = ("127.0.0.1:%d" % one.getsockname()[1] for one in sockets)
print(json.dumps({"ps": [ps], "chief": [chief], "worker": workers}))
PYTHON
)

# Prefix each line with a name.
prefix() { # NAME
  local line
  while IFS= read -r line || [ -n "$line" ]; do printf '%s: %s\n' "$1" "$line"; done
}

# Start the process JOB INDEX and set $started to its id.
start() { # JOB INDEX FLAGS...
  local job=$1 index=$2
  shift 2
  mkfifo "$pipes/$job$index"
  prefix "$job$index" <"$pipes/$job$index" >&2 &
  readers+=("$!")
  TF_CONFIG="{\"cluster\": $cluster, \"task\": {\"type\": \"$job\", \"index\": $index}}" \
    "$UV_PROJECT_ENVIRONMENT/bin/groovae" train "$@" </dev/null >"$pipes/$job$index" 2>&1 &
  started=$!
}

# Wait for the process ID and set $status to its exit code. A signal interrupts `wait`.
await() { # ID
  while :; do
    status=0 signalled=
    wait "$1" 2>/dev/null || status=$? # 2>: bash reports kills
    [ -n "$signalled" ] || return 0
  done
}

# Only the chief has something to save, and it ends the others when it stops.
pass_on() { # SIGNAL
  signalled=1
  kill "-$1" "$chief" 2>/dev/null || true
}

kill_all() {
  kill -KILL ${chief:+"$chief"} ${others[@]+"${others[@]}"} 2>/dev/null || true
}

readers=() others=() chief=
pipes=$(mktemp -d)
trap 'kill_all; rm -rf "$pipes"' EXIT
# With job control each process has its own group: Ctrl-C reaches it once, through this script, and
# it does not ignore Ctrl-C as background processes do otherwise.
set -m
start ps 0 "$@"
others+=("$started")
for ((index = 0; index < workers; index++)); do
  start worker "$index" "$@"
  others+=("$started")
done
start chief 0 "$@"
chief=$started
trap 'pass_on INT' INT
trap 'pass_on TERM' TERM

await "$chief"
result=$status chief=
if ((result)); then
  say "the chief ended with exit code $result; ending the others"
  kill_all
fi
for id in "${others[@]}" "${readers[@]}"; do await "$id"; done
trap 'rm -rf "$pipes"' EXIT
exit "$result"
