#!/usr/bin/env bash
# Run the whole pipeline of groovae in about a minute, without data, GPU or root rights:
#
#   bash scripts/demo.sh             results in data_dir/demo
#   bash scripts/demo.sh --dir=out   arguments go to `groovae demo`; paths are relative to the caller
#
# Runs from any directory. The first run makes the environment; see env.sh.
set -euo pipefail

# shellcheck source=scripts/env.sh
source "$(dirname -- "${BASH_SOURCE[0]}")/env.sh"

make_environment --no-dev
exec "$UV_PROJECT_ENVIRONMENT/bin/groovae" demo --dir="$root/data_dir/demo" "$@"
