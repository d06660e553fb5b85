#!/bin/sh
# Cross-checks what both sides count of their system calls with what strace sees of both: once with few requests and once with
# ten thousand more, so that what is made only once drops out. Fails if the two disagree.
#
# usage: benches/system_calls.sh [same|cross|free [asleep|awake]]
set -eu
cd "$(dirname "$0")/.."
placement=${1:-same} manner=${2:-awake} few=1000 more=10000
cargo build -q -p benches --release --bin calls
traces=$(mktemp -d)
trap 'rm -rf "$traces"' EXIT

# Prints the calls that strace has seen, and those that both sides have counted, for so many requests.
measure() {
    strace -c -f -o "$traces/$1" target/release/calls "$placement" "$manner" "$1" >"$traces/own"
    seen=$(awk '$NF == "total" { print $4 }' "$traces/$1")
    own=$(sed -n 's/.* calls=\([0-9]*\) .*/\1/p' "$traces/own")
    echo "$seen $own"
}

echo "untraced: $(target/release/calls "$placement" "$manner" "$more")"
set -- $(measure "$few") $(measure $((few + more)))
awk -v seen=$(($3 - $1)) -v own=$(($4 - $2)) -v requests="$more" 'BEGIN {
    printf "traced: strace %.3f a request, own counters %.3f\n", seen / requests, own / requests
    apart = (seen - own) / requests
    exit (apart < -0.05 || apart > 0.05)
}' || { echo "strace and the counters disagree" >&2; exit 1; }
