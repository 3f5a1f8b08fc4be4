#!/usr/bin/env bash
# Counts the instructions that the packet path takes for a packet, and compares them with bench/baseline.json.
#
#   scripts/instructions.sh            fails when a case takes over 3 % more than the baseline says
#   scripts/instructions.sh --update   writes the baseline
#
# Valgrind counts, so what else the machine does makes no difference. The compiler does: if it is not the one of the
# baseline, more instructions are a warning. Valgrind shows programs a processor without AVX-512 and SHA extensions,
# so the backends that need those are not counted.
set -euo pipefail
cd "$(dirname "$0")/.."
PATH="${CARGO_HOME:-$HOME/.cargo}/bin:$PATH"

baseline=bench/baseline.json
tolerated=3 # per cent

main() {
    case "${1-}" in
        "" | --update) ;;
        *) fail "unknown argument $1; usage: scripts/instructions.sh [--update]" ;;
    esac
    if [ "$(uname -m)" != x86_64 ]; then
        note "NOT COUNTED: the baseline is of x86_64 processors, and this is $(uname -m)"
        return
    fi
    command -v valgrind >/dev/null || fail "there is no valgrind; scripts/setup.sh installs it"

    folder=$(mktemp --directory)
    trap 'rm -rf "$folder"' EXIT
    count >"$folder/counts"
    if [ "${1-}" = --update ]; then
        write_baseline >"$folder/baseline"
        mv "$folder/baseline" "$baseline"
        note "$baseline written"
    else
        compare
    fi
}

# A line for each case: backend, direction, bytes of payload, instructions per packet.
count() {
    # Optimised, but not as the program that is shipped: that would take four times as long to build.
    CARGO_PROFILE_RELEASE_LTO=thin CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 cargo build --quiet --release -p photongate-bench
    local program="${CARGO_TARGET_DIR:-target}/release/photongate-bench"
    # Symbols are resolved at the start, not when a function is first called. The counters are written down, and set to
    # zero, before each of the two functions; so those written at the end are a case's.
    LD_BIND_NOW=1 valgrind --tool=callgrind --callgrind-out-file="$folder/callgrind" \
        --dump-before='*count_these_instructions*' --dump-before='*counting_ends*' \
        "$program" >"$folder/cases" 2>"$folder/valgrind" || fail "it does not run: $(cat "$folder/valgrind")"
    local number=0
    while read -r backend direction payload packets; do
        number=$((number + 2))
        awk -v name="$backend $direction $payload" -v packets="$packets" \
            '/^totals:/ { printf "%s %.1f\n", name, $2 / packets }' "$folder/callgrind.$number"
    done <"$folder/cases"
}

write_baseline() {
    echo '{'
    echo "  \"rustc\": \"$(rustc --version)\","
    echo "  \"valgrind\": \"$(valgrind --version)\","
    echo '  "instructions_per_packet": {'
    awk '{ printf "%s    \"%s %s %s\": %s", (NR > 1 ? ",\n" : ""), $1, $2, $3, $4 } END { print "" }' "$folder/counts"
    echo '  }'
    echo '}'
}

compare() {
    local before now
    before=$(sed -n 's/^  "rustc": "\(.*\)",$/\1/p' "$baseline")
    now=$(rustc --version)
    sed -n 's/^    "\(.*\)": \([0-9.]*\),\{0,1\}$/\1 \2/p' "$baseline" >"$folder/baseline"
    if awk -v tolerated="$tolerated" '
        NR == FNR { baseline[$1 " " $2 " " $3] = $4; next }
        {
            name = $1 " " $2 " " $3
            if (!(name in baseline)) { printf "%-28s %10.1f, not in the baseline\n", name, $4; next }
            change = ($4 / baseline[name] - 1) * 100
            printf "%-28s %10.1f %+7.2f %%%s\n", name, $4, change, (change > tolerated ? "  TOO MANY" : "")
            worse += (change > tolerated)
            delete baseline[name]
        }
        END {
            for (name in baseline) { printf "%-28s is in the baseline, but not counted on this machine\n", name }
            exit (worse > 0)
        }' "$folder/baseline" "$folder/counts" >&2; then
        note "no case takes over $tolerated % more instructions than the baseline says"
    elif [ "$before" != "$now" ]; then
        note "WARNING: more instructions, but the baseline is of $before, and this is $now; scripts/instructions.sh --update"
    else
        fail "the packet path takes over $tolerated % more instructions; if that must be, scripts/instructions.sh --update"
    fi
}

note() {
    echo "instructions: $*" >&2
}

fail() {
    note "$@"
    exit 1
}

main "$@"
