#!/usr/bin/env bash
# Shows it work: installs what is missing, builds, and plays `photongate demo`, which cleans up behind itself.
#
# The demo makes network namespaces, which takes root: it is started through sudo if need be, the build is not. Where
# there is no root it plays in capture files instead. Arguments are passed on to `photongate demo`.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

scripts/setup.sh

target=${CARGO_TARGET_DIR:-target}
[ -x "$target/release/photongate" ] || echo "demo: building, which takes some minutes the first time" >&2
cargo build --release --locked

as_root=()
if [ "$(id -u)" -ne 0 ] && command -v sudo >/dev/null && sudo true; then
    as_root=(sudo)
fi
exec "${as_root[@]}" "$target/release/photongate" demo "$@"
