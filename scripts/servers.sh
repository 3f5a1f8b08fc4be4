# shellcheck shell=bash
# What scripts share that run several servers on this machine. To be sourced from the top of the repository, with what to call
# the script and its folder:
#
#   source scripts/servers.sh px-cluster photongate-px
#
# Sets `photongate`, the program (PHOTONGATE names it; without it, that of the newest build is taken), and `folder`, a new one. However the
# script ends, the processes in `running` end, too, and the folder goes.

built_in=${CARGO_TARGET_DIR:-target}
photongate=${PHOTONGATE-}
if [ -z "$photongate" ]; then
    for built in "$built_in/release/photongate" "$built_in/debug/photongate"; do
        if [ -x "$built" ] && { [ -z "$photongate" ] || [ "$built" -nt "$photongate" ]; }; then
            photongate=$built
        fi
    done
fi
if [ -z "$photongate" ]; then
    echo "$1: there is no photongate: build it by cargo build, or name it by PHOTONGATE" >&2
    exit 2
fi
photongate=$(realpath "$photongate")

folder=$(mktemp -d --tmpdir "$2.XXXXXXXX")
running=()
stop() {
    trap '' INT TERM HUP
    [ "${#running[@]}" -eq 0 ] || kill "${running[@]}" 2>/dev/null || true
    wait
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 0' INT TERM HUP
