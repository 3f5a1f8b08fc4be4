#!/usr/bin/env bash
# Runs nodes of the distributed store on this machine: makes certificates and configurations on the way, in a folder that goes when the nodes
# stop: on Ctrl-C, on Ctrl-D, or at once with --once. Shows how the nodes are whenever that changes.
#
#   scripts/dht-nodes.sh            three nodes, until Ctrl-C or Ctrl-D
#   scripts/dht-nodes.sh 5          five
#   scripts/dht-nodes.sh 3 --once   start, put a file at one node and get it at another, stop: exit status 0 if it is the same
#
# PHOTONGATE names the program; without it, that of the newest build is taken (scripts/servers.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

nodes=${1:-3}
case $nodes in
    [2-9] | [1-9][0-9]) ;;
    *)
        echo "dht-nodes: there can be 2 to 99 nodes, not $nodes" >&2
        exit 2
        ;;
esac

# shellcheck source=scripts/nodes.sh
source scripts/nodes.sh dht-nodes dht "$nodes"

make_certificates
known=
for node in $(seq "$nodes"); do
    cat >"dht-$node.toml" <<END
listen = "$host:$((8600 + node))"
bootstrap = [$known]
socket = "dht-$node.sock"
tls = { certificate = "pki/dht-$node.example.pem", key = "pki/dht-$node.example-key.pem", ca = "pki/ca.pem" }
state = { directory = "state-$node" }
api = { enabled = false }
END
    # Whoever comes later knows the first.
    known="\"$host:8601\""
    start_node "$node" "dht-$node.toml"
done

# How many others a node knows.
state() {
    local contacts
    contacts=$("$photongate" dht status --config "dht-$1.toml" --patience 2s --json 2>/dev/null |
        sed -n 's/^  "contacts": \([0-9]*\),\{0,1\}$/\1/p') || true
    if [ -z "$contacts" ]; then echo "does not answer"; else echo "knows $contacts others"; fi
    [ "${contacts:-0}" -gt 0 ]
}

wait_for_nodes "the nodes do not find each other"

if [ "${2-}" = --once ]; then
    echo "hello, $nodes nodes" >greeting
    key=$("$photongate" dht put greeting --config dht-1.toml 2>/dev/null)
    "$photongate" dht get "$key" greeting-again --config "dht-$nodes.toml" 2>/dev/null
    cat greeting-again
    cmp greeting greeting-again
    exit
fi

cat <<END
The nodes are in $folder. Try, there:

    $photongate dht put log-1 --config dht-1.toml            # prints the key
    $photongate dht get KEY a-copy --config dht-2.toml
    $photongate dht peers --config dht-1.toml
    kill -9 ${running[0]}        # node 1

Ctrl-C or Ctrl-D stops the nodes and removes the folder.
END
show_nodes
