#!/usr/bin/env bash
# Runs a px cluster on this machine: makes certificates and configurations on the way, in a folder that goes when the cluster stops:
# on Ctrl-C, on Ctrl-D, or at once with --once. Shows how the nodes are whenever that changes.
#
#   scripts/px-cluster.sh            three nodes, until Ctrl-C or Ctrl-D
#   scripts/px-cluster.sh 5          five
#   scripts/px-cluster.sh 3 --once   start, write a document at one node and read it at another, stop: exit status 0 if it is the same
#
# PHOTONGATE names the program; without it, that of the newest build is taken (scripts/servers.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

nodes=${1:-3}
case $nodes in
    [2-9] | 1[0-5]) ;;
    *)
        echo "px-cluster: a cluster has 2 to 15 nodes, not $nodes" >&2
        exit 2
        ;;
esac

# shellcheck source=scripts/nodes.sh
source scripts/nodes.sh px-cluster px "$nodes"

make_certificates
servers=
for node in $(seq "$nodes"); do
    servers+="${servers:+, }{ \"addr\": \"$host:$((8490 + node))\", \"server_name\": \"px-$node.example\" }"
done
for node in $(seq "$nodes"); do
    cat >"px-$node.json" <<END
{
    "me": {
        "id": "px-$node.example", "addr": "$host:$((8490 + node))",
        "tls_config_info": {
            "cert_path": "pki/px-$node.example.pem", "key_path": "pki/px-$node.example-key.pem", "ca_cert_path": "pki/ca.pem"
        }
    },
    "retry_delay": 100,
    "servers": [$servers],
    "state": { "directory": "state-$node" },
    "api": { "enabled": false }
}
END
    start_node "$node" "px-$node.json"
done

# Who leads, as far as a node knows.
state() {
    local leader
    leader=$("$photongate" px status --config "px-$1.json" --patience 2s --json 2>/dev/null |
        sed -n 's/^  "leader": "\(.*\)",$/\1/p') || true
    if [ -z "$leader" ]; then echo "no leader"; else echo "leader $leader"; fi
    [ -n "$leader" ]
}

wait_for_nodes "the nodes find no leader"

if [ "${2-}" = --once ]; then
    "$photongate" px put greeting --value "hello, $nodes nodes" --config px-1.json >/dev/null
    said=$("$photongate" px get greeting --config "px-$nodes.json")
    echo "$said"
    [ "$said" = "hello, $nodes nodes" ]
    exit
fi

cat <<END
The cluster is in $folder. Try, there:

    $photongate px put greeting --value hello --config px-1.json
    $photongate px get greeting --config px-2.json
    $photongate px status --config px-1.json
    kill -9 ${running[0]}        # node 1

Ctrl-C or Ctrl-D stops the cluster and removes the folder.
END
show_nodes
