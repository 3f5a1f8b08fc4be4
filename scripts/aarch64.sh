#!/usr/bin/env bash
# Runs the tests of the crates with kernels for 64-bit ARM processors: under qemu-user, on a machine of another kind.
#
#   scripts/aarch64.sh             runs the tests
#   scripts/aarch64.sh --lint      runs clippy instead, which needs no emulator
#   scripts/aarch64.sh PACKAGE...  runs the tests of these packages instead
#
# What the machine lacks for it is named, and is no failure: scripts/setup.sh installs it where it can.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

target=aarch64-unknown-linux-gnu
packages=(photongate-crypto photongate-wire)

main() {
    if [ "$(uname -m)" = aarch64 ]; then
        note "this is such a machine: cargo test and cargo clippy are enough"
        return
    fi
    if ! rustc --print target-libdir --target "$target" 2>/dev/null | xargs -r test -d; then
        note "NOT RUN: there is no Rust for $target (rustup target add $target)"
        return
    fi
    if [ "${1-}" = --lint ]; then
        cargo clippy --quiet --locked "${packages[@]/#/--package=}" --target "$target" -- -D warnings
        return
    fi
    local program
    for program in aarch64-linux-gnu-gcc qemu-aarch64; do
        if ! command -v "$program" >/dev/null; then
            note "NOT RUN: there is no $program"
            return
        fi
    done
    if [ $# -gt 0 ]; then
        packages=("$@")
    fi
    # The emulator is slow, and property tests need not be as thorough as natively.
    PHOTONGATE_EMULATED=1 CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER=aarch64-linux-gnu-gcc \
        CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUNNER="qemu-aarch64 -cpu max -L /usr/aarch64-linux-gnu" \
        PROPTEST_CASES="${PROPTEST_CASES:-32}" \
        cargo test --no-fail-fast --locked --tests "${packages[@]/#/--package=}" --target "$target"
}

note() {
    echo "aarch64: $*" >&2
}

main "$@"
