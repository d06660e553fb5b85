#!/bin/sh
# The main job, visibly: a server on its main run loop, a client that has it count this repository's files, and the end.
set -eu
cd "$(dirname "$0")/.."

cargo build --quiet --package examples --bin port_server --bin port_client
bin="${CARGO_TARGET_DIR:-target}/debug"
name="org.example.main-job.$$"

"$bin/port_server" "$name" &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT

# The name is there a moment after the process.
tries=0
until "$bin/port_client" "$name" 2>/dev/null; do
    tries=$((tries + 1))
    test "$tries" -lt 100 || { echo "the server does not appear" >&2; exit 1; }
    sleep 0.05
done

echo "lines, words and bytes, as wc would print them:"
"$bin/port_client" "$name" README.md ARCHITECTURE.md Cargo.toml examples/*.rs
sleep 2
"$bin/port_client" --stop "$name"
wait "$server"
trap - EXIT
