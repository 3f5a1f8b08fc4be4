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

# shellcheck source=scripts/servers.sh
source scripts/servers.sh dht-nodes photongate-dht
cd "$folder"

# An address of this machine that no other network has: the loopback network is as large as there are process IDs.
host=127.$((1 + $$ / 65536 % 254)).$(($$ / 256 % 256)).$(($$ % 256))

for node in $(seq "$nodes"); do
    printf '[[certificates]]\nname = "dht-%s.example"\nrole = "dht"\nhosts = ["dht-%s.example"]\n' "$node" "$node" >>site.toml
done
"$photongate" pki init site.toml >/dev/null
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
    # In the background an interactive Ctrl-C reaches them too; they stop in order either way.
    "$photongate" dht "dht-$node.toml" 2>"log-$node" </dev/null &
    running+=("$!")
done

# How many others a node knows; nothing if it does not answer.
knows() {
    "$photongate" dht status --config "dht-$1.toml" --json 2>/dev/null | sed -n 's/^  "contacts": \([0-9]*\),\{0,1\}$/\1/p'
}

all_know_another() {
    local node contacts
    for node in $(seq "$nodes"); do
        contacts=$(knows "$node" || true)
        [ "${contacts:-0}" -gt 0 ] || return 1
    done
}

for attempt in $(seq 300); do
    if all_know_another; then
        break
    fi
    if [ "$(jobs -pr | wc -l)" -lt "$nodes" ] || [ "$attempt" -eq 300 ]; then
        echo "dht-nodes: the nodes do not find each other" >&2
        tail -n 5 log-* >&2
        exit 1
    fi
    sleep 0.1
done

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
shown=
# Ctrl-D ends standard input. Where there is none from the beginning, the nodes run until a signal.
while true; do
    now=$(for node in $(seq "$nodes"); do
        if kill -0 "${running[node - 1]}" 2>/dev/null; then
            contacts=$(knows "$node" || true)
            if [ -n "$contacts" ]; then echo "dht-$node.example: knows $contacts others"; else echo "dht-$node.example: does not answer"; fi
        else
            echo "dht-$node.example: stopped"
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
