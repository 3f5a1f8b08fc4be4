# shellcheck shell=bash
# What scripts share that run nodes of one kind on this machine, numbered from 1, and show how they are until they are told to stop. To be sourced
# from the top of the repository, with what to call the script, the subcommand that runs a node, and how many there are:
#
#   source scripts/nodes.sh px-cluster px 3
#
# Sets what scripts/servers.sh sets, goes into the folder, and sets `host`. The script defines `state`, which says in words how a node is, with
# status 0 if it is as it should be.

script=$1 kind=$2 nodes=$3
# shellcheck source=scripts/servers.sh
source scripts/servers.sh "$script" "photongate-$kind"
cd "$folder" || exit

# An address of this machine that no others have: the loopback network is as large as there are process IDs.
# shellcheck disable=SC2034
host=127.$((1 + $$ / 65536 % 254)).$(($$ / 256 % 256)).$(($$ % 256))

# Makes a certificate for each node.
make_certificates() {
    local node name
    for node in $(seq "$nodes"); do
        name=$kind-$node.example
        printf '[[certificates]]\nname = "%s"\nrole = "%s"\nhosts = ["%s"]\n' "$name" "$kind" "$name" >>site.toml
    done
    "$photongate" pki init site.toml >/dev/null
}

# start_node NODE CONFIG
start_node() {
    # In the background an interactive Ctrl-C reaches them too; they stop in order either way.
    "$photongate" "$kind" "$2" 2>"log-$1" </dev/null &
    running+=("$!")
}

all_are_well() {
    local node
    for node in $(seq "$nodes"); do
        state "$node" >/dev/null || return 1
    done
}

# wait_for_nodes COMPLAINT: until all are as they should be.
wait_for_nodes() {
    local attempt
    for attempt in $(seq 300); do
        if all_are_well; then
            return
        fi
        if [ "$(jobs -pr | wc -l)" -lt "$nodes" ] || [ "$attempt" -eq 300 ]; then
            echo "$script: $1" >&2
            tail -n 5 log-* >&2
            exit 1
        fi
        sleep 0.1
    done
}

# Shows how the nodes are whenever that changes, until standard input ends, as by Ctrl-D. Where there is none from the beginning, until a
# signal.
show_nodes() {
    local node now shown='' status
    while true; do
        now=$(for node in $(seq "$nodes"); do
            if kill -0 "${running[node - 1]}" 2>/dev/null; then
                echo "$kind-$node.example: $(state "$node" || true)"
            else
                echo "$kind-$node.example: stopped"
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
}
