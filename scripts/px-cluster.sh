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

# shellcheck source=scripts/servers.sh
source scripts/servers.sh px-cluster photongate-px
cd "$folder"

# An address of this machine that no other cluster has: the loopback network is as large as there are process IDs.
host=127.$((1 + $$ / 65536 % 254)).$(($$ / 256 % 256)).$(($$ % 256))

servers=
for node in $(seq "$nodes"); do
    printf '[[certificates]]\nname = "px-%s.example"\nrole = "px"\nhosts = ["px-%s.example"]\n' "$node" "$node" >>site.toml
    servers+="${servers:+, }{ \"addr\": \"$host:$((8490 + node))\", \"server_name\": \"px-$node.example\" }"
done
"$photongate" pki init site.toml >/dev/null
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
    # In the background an interactive Ctrl-C reaches them too; they stop in order either way.
    "$photongate" px "px-$node.json" 2>"log-$node" </dev/null &
    running+=("$!")
done

# Who leads, as far as a node knows; nothing if it knows of nobody.
leader() {
    "$photongate" px status --config "px-$1.json" --json 2>/dev/null | sed -n 's/^  "leader": "\(.*\)",$/\1/p'
}

all_know_the_leader() {
    local node
    for node in $(seq "$nodes"); do
        [ -n "$(leader "$node")" ] || return 1
    done
}

for attempt in $(seq 300); do
    if all_know_the_leader; then
        break
    fi
    if [ "$(jobs -pr | wc -l)" -lt "$nodes" ] || [ "$attempt" -eq 300 ]; then
        echo "px-cluster: the nodes find no leader" >&2
        tail -n 5 log-* >&2
        exit 1
    fi
    sleep 0.1
done

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
shown=
# Ctrl-D ends standard input. Where there is none from the beginning, the cluster runs until a signal.
while true; do
    now=$(for node in $(seq "$nodes"); do
        if kill -0 "${running[node - 1]}" 2>/dev/null; then
            lead=$(leader "$node")
            if [ -n "$lead" ]; then echo "px-$node.example: leader $lead"; else echo "px-$node.example: no leader"; fi
        else
            echo "px-$node.example: stopped"
        fi
    done)
    if [ "$now" != "$shown" ]; then
        printf '%s\n%s\n' "$(date +%T)" "$now"
        shown=$now
    fi
    status=0
    read -r -t 1 _ || status=$?
    # Above 128: nothing was typed for a second. Else the input is at its end.
    if [ "$status" -gt 0 ] && [ "$status" -le 128 ]; then
        [ -t 0 ] && break
        sleep 1
    fi
done
