#!/usr/bin/env bash
# Shows that px's simulation finds mistakes: builds nodes that make one on purpose, and prints which seeds find which, as in
# docs/protocol/px.md. Fails if one is not found. Takes some minutes.
#
#   scripts/px-mutations.sh
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cargo test --quiet -p photongate-px --lib simulation::mutations -- --nocapture >"$log" 2>&1; then
    tail -n 50 "$log" >&2
    exit 1
fi
printf '| mistake | seeds |\n| --- | --- |\n'
grep '^| ' "$log" | sort
