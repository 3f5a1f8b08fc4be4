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
    fi
fi

echo "test: without the dataplane, as on a machine that has no DPDK" >&2
PKG_CONFIG_LIBDIR=/nonexistent cargo test --quiet --no-fail-fast --no-default-features

echo "test: everything" >&2
cargo test --no-fail-fast --workspace
