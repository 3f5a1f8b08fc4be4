#!/usr/bin/env bash
# Makes what the example site in containers needs: certificates, master keys, the secret of the simulated link, and folders for state.
# What is there already stays as it is.
#
# PHOTONGATE names the program; without it, it is run from the image `photongate-qks` by podman, or by docker.
set -euo pipefail
cd "$(dirname "$0")"
umask 077

if [ -n "${PHOTONGATE-}" ]; then
    photongate=("$PHOTONGATE")
else
    engine=$(command -v podman || command -v docker) || {
        echo "prepare: there is neither podman nor docker: name the program by PHOTONGATE" >&2
        exit 2
    }
    photongate=("$engine" run --rm --user "$(id -u):$(id -g)" --volume "$PWD:$PWD" --workdir "$PWD" photongate-qks)
fi
mkdir -p secrets state/a state/b state/c
"${photongate[@]}" pki init site.toml --out secrets >/dev/null

random() {
    [ -e "$1" ] || od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$1"
    chmod 0400 "$1"
}
for server in a b c; do
    random "secrets/master-$server.key"
done
random secrets/link-a-b.secret
echo "ready: PHOTONGATE_USER=$(id -u):$(id -g) podman-compose up"
