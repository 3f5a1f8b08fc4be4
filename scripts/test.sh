#!/usr/bin/env bash
# Installs what is missing and runs every test: unit, property, end-to-end and documentation tests.
#
# End-to-end tests make network namespaces and TAP interfaces, which takes root. For other users the test programs are
# started through sudo; the build is not.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

scripts/setup.sh

if [ "$(id -u)" -ne 0 ]; then
    if sudo true; then
        host=$(rustc --version --verbose | sed -n 's/^host: //p' | tr 'a-z-' 'A-Z_')
        export "CARGO_TARGET_${host}_RUNNER=sudo --preserve-env"
    else
        echo "test: neither root nor sudo: the end-to-end tests that need network namespaces will be SKIPPED" >&2
        export PHOTONGATE_WITHOUT_NAMESPACES=1
    fi
fi

log=$(mktemp)
trap 'total; rm -f "$log"' EXIT

# The sum over all test programs so far, in one line.
total() {
    awk '/^test result:/ { programs++; passed += $4; failed += $6; skipped += $8 }
        END { if (programs) printf "%d passed, %d failed, %d skipped\n", passed, failed, skipped }' "$log"
}

# Tests of servers wait most of the time, so twice as many as there are processors go on at once.
export RUST_TEST_THREADS=${RUST_TEST_THREADS:-$((2 * $(nproc)))}

# The program alone differs there, so only its own tests run twice. The variable hides DPDK and nothing else: were it one that pkg-config
# itself obeys, the crates that look for other libraries, and all that need them, would be built anew now and once more below.
echo "test: without the dataplane, as on a machine that has no DPDK" >&2
programs=(aslist check import pki qks_client qks_conformance trace verify)
LIBDPDK_NO_PKG_CONFIG=1 cargo test --quiet --no-fail-fast --no-default-features --bins \
    "${programs[@]/#/--test=}" 2>&1 | tee -a "$log"

echo "test: the instructions that a packet takes" >&2
scripts/instructions.sh

echo "test: the kernels for 64-bit ARM processors, in an emulator" >&2
scripts/aarch64.sh 2>&1 | tee -a "$log"

echo "test: everything" >&2
cargo test --no-fail-fast --workspace 2>&1 | tee -a "$log"
