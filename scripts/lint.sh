#!/usr/bin/env bash
# Checks everything that needs no running: format, lints, documentation, dependencies, shell scripts.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

step() {
    echo "lint: $*" >&2
    "$@"
}

scripts/setup.sh --lint

step cargo fmt --all --check
step cargo fmt --manifest-path fuzz/Cargo.toml --check
step cargo clippy --quiet --locked --workspace --all-targets -- -D warnings
step cargo clippy --quiet --locked --no-default-features --all-targets -- -D warnings
step scripts/aarch64.sh --lint
# Targets are named, examples among them although there are none, for then the features of dependencies are those of clippy above;
# with the others, a fifth of them would be compiled again.
RUSTDOCFLAGS="-D warnings" step cargo doc --quiet --locked --workspace --no-deps --lib --bin photongate --examples
step cargo deny check bans licenses sources
if cargo deny fetch db 2>/dev/null; then
    step cargo deny check advisories
else
    echo "lint: the advisory database cannot be reached from here, so advisories are left out" >&2
fi
mapfile -d '' -t shell_scripts < <(git ls-files -z '*.sh' .ci/run)
step shellcheck "${shell_scripts[@]}"
if command -v promtool >/dev/null; then
    step promtool check rules docs/operations/alerts.yml docs/operations/qks-alerts.yml
    step promtool test rules docs/operations/alerts.test.yml docs/operations/qks-alerts.test.yml
else
    echo "lint: promtool is not installed (Debian: prometheus), so the alert rules are left out" >&2
fi
