#!/bin/sh
# Measure a build: run.sh BUILD [smoke [FLAG..] | fanout].  In fanout the bus
# and the floor take turns, and what counts is the ratio of each pair, for a
# shared machine makes any single figure worthless.
set -eu
build=$1
what=${2:-all}
shift
[ $# -eq 0 ] || shift
rounds=${ROUNDS:-5}
seconds=${SECONDS_EACH:-2}
source=$(cd "$(dirname "$0")/../.." && pwd)
work=$(mktemp -d)
server=
trap '[ -z "$server" ] || kill "$server" 2>/dev/null; rm -rf "$work"' EXIT

# The number behind the last "port=" of the line that says listening.
port_of() {
    tries=0
    while [ $tries -lt 500 ]; do
        port=$(sed -n "s/.*$2.*port=\\([0-9]*\\).*/\\1/p" "$1" 2>/dev/null | head -1)
        [ -z "$port" ] || { echo "$port"; return; }
        tries=$((tries + 1))
        sleep 0.01
    done
    cat "$1" >&2
    return 1
}

field() {
    sed -n "s/.*\"$1\":\\([0-9.]*\\).*/\\1/p"
}

start_bus() {
    "$build/arqonbusd" --config /dev/null --port 0 --telemetry-port 0 \
        --plugins-dir "$source/etc/plugins.d" \
        --plugin-path "$build/plugins/.libs" 2>"$work/bus.log" &
    server=$!
    port=$(port_of "$work/bus.log" 'msg="listening"')
}

stop_server() {
    kill $server
    wait $server 2>/dev/null || true
    server=
}

measure_bus() {
    start_bus
    "$build/tools/bench/fanout" --port "$port" --pid $server \
        --receivers "$1" --seconds "$seconds"
    stop_server
}

smoke() {
    start_bus
    "$build/tools/bench/smoke" --port "$port" --pid $server "$@"
    stop_server
}

measure_floor() {
    "$build/tools/bench/floor" --wire-length "$2" 2>"$work/floor.log" &
    server=$!
    "$build/tools/bench/fanout" --port "$(port_of "$work/floor.log" 'floor listening')" \
        --pid $server --receivers "$1" --seconds "$seconds" --plain
    stop_server
}

fanout() {
    echo "fan-out of 200 bytes, window 32: CPU of the server a delivery"
    echo "receivers  bus ns  floor ns  ratio  bus deliveries/s"
    for receivers in 100 1000; do
        : >"$work/ratios"
        for _ in $(seq "$rounds"); do
            measure_bus "$receivers" >"$work/bus"
            measure_floor "$receivers" "$(field wire <"$work/bus")" >"$work/floor"
            ours=$(field cpu_ns_per_delivery <"$work/bus")
            theirs=$(field cpu_ns_per_delivery <"$work/floor")
            rate=$(field deliveries_per_second <"$work/bus")
            echo "$receivers $ours $theirs $rate" |
                awk '{ printf "%9d %7.0f %9.0f %6.2f %17.0f\n", $1, $2, $3, $2 / $3, $4 }'
            echo "$ours $theirs" | awk '{ print $1 / $2 }' >>"$work/ratios"
        done
        sort -n "$work/ratios" | awk -v n="$receivers" '
            { r[NR] = $1 }
            END { printf "%9d median ratio %.2f, from %.2f to %.2f\n", n, r[int((NR + 1) / 2)], r[1], r[NR] }'
    done
}

case $what in
fanout) fanout ;;
smoke) smoke "$@" ;;
all)
    smoke
    fanout
    ;;
*)
    echo "run.sh: there is no $what; only smoke and fanout" >&2
    exit 2
    ;;
esac
