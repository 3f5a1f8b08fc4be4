#!/usr/bin/env bash
# Runs the tests of the DPDK wrapper under AddressSanitizer: readers hammering the hash table beside its writer, packet
# buffers changing hands, devices coming and going. Any use of freed memory and any leak stops it.
#
#   scripts/asan.sh [ARGUMENT…]   arguments go to cargo test, such as `--test hash_concurrency`
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

scripts/setup.sh

# Sanitizers are an unstable compiler flag: nightly has it, and stable too when told so.
cargo=(cargo)
if command -v rustup >/dev/null && rustup run nightly rustc --version >/dev/null 2>&1; then
    cargo=(cargo +nightly)
else
    export RUSTC_BOOTSTRAP=1
fi

# With a target named, build scripts and procedural macros stay as they are. DPDK is not instrumented, nor need it be:
# what readers may not hold too long belongs to values that have a part of them on the program's own heap.
target=$(rustc --version --verbose | sed -n 's/^host: //p')
export RUSTFLAGS="${RUSTFLAGS-} -Zsanitizer=address"
[ $# -gt 0 ] || set -- --tests
"${cargo[@]}" test --package photongate-dpdk --target "$target" "$@"
