#!/usr/bin/env bash
# Runs every fuzz target for a while: 60 seconds each, or as many as the first argument says.
#
#   scripts/fuzz.sh [SECONDS [TARGET…]]
#
# Prints one line per target and stops at the first crash, with what libFuzzer said about it. What a target has found
# interesting stays in fuzz/corpus, and the next run starts from there.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

main() {
    local seconds=${1:-60}
    case "$seconds" in
        *[!0-9]* | 0*) fail "usage: scripts/fuzz.sh [SECONDS [TARGET…]]" ;;
    esac
    scripts/setup.sh
    if ! command -v cargo-fuzz >/dev/null; then
        note "building cargo-fuzz, which takes a minute or two"
        cargo install --quiet --locked cargo-fuzz
    fi
    choose_toolchain

    local targets=("${@:2}")
    if [ "${#targets[@]}" -eq 0 ]; then
        mapfile -t targets < <("${cargo[@]}" fuzz list)
    fi
    [ "${#targets[@]}" -gt 0 ] || fail "cargo fuzz list names no target"

    log=$(mktemp)
    trap 'rm -f "$log"' EXIT
    local target
    for target in "${targets[@]}"; do
        run "$target" "$seconds"
    done
}

# Sanitizers and coverage are unstable compiler flags: nightly has them, and stable too when told so.
choose_toolchain() {
    cargo=(cargo)
    if command -v rustup >/dev/null && rustup run nightly rustc --version >/dev/null 2>&1; then
        cargo=(cargo +nightly)
    else
        export RUSTC_BOOTSTRAP=1
    fi
}

run() {
    local target=$1 seconds=$2
    if ! "${cargo[@]}" fuzz build "$target" >"$log" 2>&1; then
        cat "$log" >&2
        fail "$target does not build, see above"
    fi
    # An input that takes over ten seconds is a finding too.
    if ! RUST_BACKTRACE=0 "${cargo[@]}" fuzz run "$target" -- \
        -max_total_time="$seconds" -max_len=2048 -timeout=10 -print_final_stats=1 >"$log" 2>&1; then
        # Without the frames of the stack, so that the panic message above them is in sight.
        grep -v '^ *#[0-9]' "$log" | tail -n 60 >&2
        fail "$target failed, see above"
    fi
    local runs coverage
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    coverage=$(sed -n 's/.*[[:space:]]DONE[[:space:]].*cov: \([0-9]*\).*/\1/p' "$log")
    printf '%-16s %12s runs in %s s, %s edges covered, no crash\n' "$target" "$runs" "$seconds" "$coverage"
}

note() {
    echo "fuzz: $*" >&2
}

fail() {
    note "$@"
    exit 1
}

main "$@"
