#!/usr/bin/env bash
# Troubles three real px nodes in network namespaces, under load: kills, holds up, cuts off, slows down. Fails if what their clients
# see has no one order: if anything that was acknowledged is gone, made twice, or read too old. Needs root.
#
#   scripts/chaos-px.sh            five minutes, another order of troubles each time
#   scripts/chaos-px.sh 30 7       thirty seconds, the order of seed 7
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

export PHOTONGATE_CHAOS_SECONDS=${1:-300} PHOTONGATE_CHAOS_SEED=${2:-$RANDOM}
cargo test --test px_chaos -- --nocapture
