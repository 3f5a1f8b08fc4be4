#!/usr/bin/env bash
# Runs the example site of config/qks: three key servers in a row, A - B - C, with a link between neighbours. Makes
# certificates and key files on the way, in a folder that goes when the site stops: on Ctrl-C, or at once with --once.
#
#   scripts/qks-site.sh            until Ctrl-C
#   scripts/qks-site.sh --once     start, get a key over each link, stop: exit status 0 if both ends have the same keys
#
# PHOTONGATE names the program; without it, that of the newest build is taken (scripts/servers.sh).
set -euo pipefail
cd "$(dirname "$0")/.."

# shellcheck source=scripts/servers.sh
source scripts/servers.sh qks-site photongate-qks

cp config/qks/*.toml "$folder"
cd "$folder"
"$photongate" pki init site.toml >/dev/null
umask 077
for server in a b c; do
    od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"master-$server.key"
done

# What a pair of QKD devices would do: the same bytes under the same name at both ends.
key_file() {
    local one=keys-$1-$2 other=keys-$2-$1
    mkdir -p "$one" "$other"
    head -c 4194304 /dev/urandom >"$one/first.part"
    cp "$one/first.part" "$other/first.part"
    mv "$one/first.part" "$one/first.key"
    mv "$other/first.part" "$other/first.key"
}
key_file a b
key_file b c

for server in a b c; do
    # In the background an interactive Ctrl-C reaches them too; they stop in order either way.
    "$photongate" qks --config "qks-$server.toml" 2>"log-$server" &
    running+=("$!")
done

# client PORT WHO ARGUMENTS...: asks the key server at a port as an application.
client() {
    local port=$1 who=$2
    shift 2
    "$photongate" qks client "$@" --url "https://127.0.0.1:$port/" --ca pki/ca.pem \
        --certificate "pki/$who.pem" --key "pki/$who-key.pem"
}

# wait_for_keys PORT WHO OTHER: until there are keys for two applications.
wait_for_keys() {
    local attempt
    for attempt in $(seq 150); do
        if client "$1" "$2" status "$3" --json 2>/dev/null | grep -qE '"stored_key_count": ?[1-9]'; then
            return
        fi
        if [ "$(jobs -pr | wc -l)" -lt 3 ]; then
            break
        fi
        sleep 0.2
    done
    echo "qks-site: $2 gets no keys for $3 (attempt $attempt)" >&2
    tail -n 20 log-a log-b log-c >&2
    exit 1
}
wait_for_keys 8443 alice bob
wait_for_keys 8463 carol bill

echo "The site is in $folder. What the applications are told:"
client 8443 alice status bob
client 8463 carol status bill

# shared PORT MASTER OTHER_PORT SLAVE: gets a key at both ends and compares.
shared() {
    local keys=keys-of-$2-and-$4 id
    id=$(client "$1" "$2" enc "$4" --out "$keys-1")
    client "$3" "$4" dec "$2" "$id" --out "$keys-2" >/dev/null
    cmp "$keys-1/$id.key" "$keys-2/$id.key"
    echo "$2 and $4 share the key $id"
}
shared 8443 alice 8453 bob
shared 8463 carol 8453 bill

if [ "${1-}" = --once ]; then
    exit 0
fi
cat <<END
Try, in $folder:

    $photongate qks client enc bob --show-keys --url https://127.0.0.1:8443/ \\
        --ca pki/ca.pem --certificate pki/alice.pem --key pki/alice-key.pem
    curl --cacert pki/ca.pem --cert pki/ops.pem --key pki/ops-key.pem https://127.0.0.1:8445/api/v1/neighbours

Ctrl-C stops the site and removes the folder.
END
wait "${running[@]}"
