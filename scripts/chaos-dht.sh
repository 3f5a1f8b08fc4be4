#!/usr/bin/env bash
# Troubles five real nodes of the distributed store in network namespaces, under load: kills, holds up, cuts off, slows down, spoils disks, and
# puts nodes among them that lie. Fails if a client gets wrong bytes, or neither bytes nor a reason; or if in the end something is missing that
# was on other nodes. Needs root.
#
#   scripts/chaos-dht.sh            five minutes, another order of troubles each time
#   scripts/chaos-dht.sh 30 7       thirty seconds, the order of seed 7
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

export PHOTONGATE_CHAOS_SECONDS=${1:-300} PHOTONGATE_CHAOS_SEED=${2:-$RANDOM}
cargo test --test dht_chaos -- --nocapture
