#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Measure a build:
#
#     run.sh BUILD                    the bus, the floor and peers that are
#                                     installed, in few rounds
#     run.sh BUILD smoke [FLAG..]     the flags of arqonbus-bench smoke
#     run.sh BUILD fanout | pairs     the bus and the floor in turns
#     run.sh BUILD storm | idle | slow | history [FLAG..]
#                                     once, and all but history also the floor
#     run.sh BUILD durable            what is acked from Redis, beside XADD alone
#     run.sh BUILD table [fanout | pairs | idle | storm]
#                                     everything, as doc/performance.md has it
#     run.sh BUILD selftest           do the checks notice a bad server?
#
# Every second round begins with the other server.  What counts in fanout, pairs
# and durable is the ratio of each round, for a shared machine makes any single
# figure worthless; "others" is how much of the machine neither the server nor the
# generator used.  ROUNDS (5; 3 without a name; 10 of durable),
# SECONDS_EACH (2; 1 without a name), RECEIVERS ("100 1000"), PAIRS ("1 100"),
# PEERS ("mosquitto nats nchan") and IO_THREADS (0) say how much.
set -eu

if [ $# -eq 0 ]; then
    echo "usage: run.sh BUILD [smoke | storm | idle | slow | history [FLAG..]]" >&2
    echo "       run.sh BUILD [fanout | pairs | durable | table | selftest]" >&2
    exit 2
fi
build=$1
what=${2:-short}
shift
[ $# -eq 0 ] || shift
if [ "$what" = short ]; then
    ROUNDS=${ROUNDS:-3}
    SECONDS_EACH=${SECONDS_EACH:-1}
fi
rounds=${ROUNDS:-5}
cores=$(nproc)
redis=
source=$(cd "$(dirname "$0")/../.." && pwd)
# shellcheck source=tools/bench/servers.sh
. "$source/tools/bench/servers.sh"

one_bus() {
    start_bus
    measure "$test" "$work/bus" "$@"
    stop_server
}

one_floor() {
    start_floor --wire-length "$(field "$work/bus" wire)"
    measure "$test" "$work/floor" --plain "$@"
    stop_server
}

# Round $1 of test $2 with the bus, and the floor with the bus's wire length;
# the rest are flags of the test.
round() {
    i=$1
    test=$2
    shift 2
    if [ $((i % 2)) = 1 ]; then
        one_bus "$@"
        one_floor "$@"
    else
        one_floor "$@"
        one_bus "$@"
    fi
}

# Compare in test $1; flag $2 takes each of $3 in turn; $4 is what is counted a
# second.
compare() {
    printf '%9s %9s %9s %6s %12s %12s %8s\n' "$2" 'bus ns' 'floor ns' ratio \
        'bus /s' 'floor /s' 'others %'
    for n in $3; do
        : >"$work/ratios"
        : >"$work/medians"
        for i in $(seq "$rounds"); do
            round "$i" "$1" "--$2" "$n"
            bus=$(field "$work/bus" cpu_ns)
            floor=$(field "$work/floor" cpu_ns)
            echo "$bus $floor" | awk '{ print $1 / $2 }' >>"$work/ratios"
            echo "$(measured "$work/bus" p50) $(measured "$work/floor" p50)" |
                awk '{ print $1 / $2 }' >>"$work/medians"
            echo "$n $bus $floor $(field "$work/bus" "$4") \
                $(field "$work/floor" "$4") \
                $(field "$work/bus" others_share) \
                $(field "$work/floor" others_share)" | awk '{
                    printf "%9d %9.0f %9.0f %6.2f %12.0f %12.0f %8.0f\n",
                        $1, $2, $3, $2 / $3, $4, $5, ($6 + $7) * 50
                }'
        done
        echo "$2 $n: CPU ratio: $(spread "$work/ratios")"
        echo "$2 $n: median latency ratio: $(spread "$work/medians")"
    done
}

fanout() {
    echo "Fan-out of 200 bytes, window 32: the server's CPU a delivery"
    compare fanout receivers "${RECEIVERS:-100 1000}" deliveries_per_second
}

pairs() {
    echo "One to one, 200 bytes to and fro: the server's CPU a round trip"
    compare pairs pairs "${PAIRS:-1 100}" trips_per_second
}

smoke() {
    start_bus
    telemetry=$(port_of "$work/log" 'telemetry listening')
    "$bench" smoke --port "$port" --telemetry-port "$telemetry" \
        --pid "$server" "$@"
    stop_server
}

# A test of $1 once, with these flags, on the bus and on the floor.
once() {
    start_bus
    echo "the bus:"
    "$bench" "$@" --port "$port" --pid "$server"
    stop_server
    [ "$1" != history ] || return 0
    start_floor --behind 1048576
    echo "the floor:"
    "$bench" "$@" --plain --port "$port" --pid "$server"
    stop_server
}

stop_redis() {
    [ -z "$redis" ] || kill "$redis" 2>/dev/null || true
    [ -z "$redis" ] || wait "$redis" || true
    redis=
}

# With `appendfsync $1`.  It has nothing yet, and the disk has nothing left to
# write: what one run has stored is not written out beside the next.
start_redis() {
    stop_redis
    rm -rf "$work/redis"
    sync
    mkdir "$work/redis"
    free_port >/dev/null
    redis_port=$port
    redis-server --port "$redis_port" --bind 127.0.0.1 --dir "$work/redis" \
        --save '' --appendonly yes --appendfsync "$1" \
        >"$work/redis.log" 2>&1 &
    redis=$!
    trap 'stop_redis; finish' EXIT
    until [ "$(redis-cli -p "$redis_port" ping 2>&1)" = PONG ]; do
        kill -0 "$redis" || return 1
        sleep 0.02
    done
}

# Redis gets a core to itself and what loads it the others, whether that is
# redis-benchmark or the bus and its publishers: left to the scheduler they share
# the cores as it comes, each time in another way.
give_cores() {
    [ "$cores" -gt 1 ] && command -v taskset >/dev/null || return 0
    taskset -apc "$1" "$redis" >/dev/null
    taskset -pc "$(seq 0 $((cores - 1)) | grep -vx "$1" | paste -sd, -)" $$ \
        >/dev/null
}

# XADDs a second of what the plugin stores, from $1 connections, each with $2
# under way.
xadd_alone() {
    redis-benchmark -p "$redis_port" -c "$1" -P "$2" -n "${XADDS:-250000}" -q \
        XADD bench MAXLEN '~' 500 '*' id arq_55e149ad6ea8405e0000000000000003 \
        type event from arq_client_16c9e5dc96f8282e87ae81e4bdae9e33 \
        time 1795884420767 payload "$(printf '%0202d' 0)" |
        tr '\r' '\n' | sed -n 's/.*: \([0-9.]*\) requests per second.*/\1/p' |
        tail -n 1
}

# The bus and XADD alone in turns of a second or two on one Redis, so that what
# disturbs the machine disturbs both; $1 under way for each publisher.
durable_rounds() {
    : >"$work/to_four"
    : >"$work/to_one"
    for _ in $(seq "${ROUNDS:-10}"); do
        four=$(xadd_alone 4 "$1")
        one=$(xadd_alone 1 $((4 * $1)))
        measure acks "$work/acks" --warm 0.5 --window "$1"
        acks=$(field "$work/acks" acks_per_second)
        echo "$fsync $1 $four $one $acks $(field "$work/acks" cpu_ns)" |
            awk '{ printf "%9s %7d %12.0f %12.0f %12.0f %8.2f %8.2f %8.0f\n",
                $1, $2, $3, $4, $5, $5 / $3, $5 / $4, $6 }'
        echo "$acks $four" | awk '{ print $1 / $2 }' >>"$work/to_four"
        echo "$acks $one" | awk '{ print $1 / $2 }' >>"$work/to_one"
    done
}

# First the bus has to hold as much as it ever does: by default what was stored
# in the last 5 s.
durable() {
    echo "Messages of 200 bytes that are acked when Redis has them, 4 publishers,"
    echo "beside pipelined XADD alone, over as many connections and over one, as"
    echo "the bus has; appendonly yes; of $cores cores one is Redis's own"
    printf '%9s %7s %12s %12s %12s %8s %8s %8s\n' fsync window \
        'XADD/s of 4' 'of 1' acks/s 'to 4' 'to 1' 'bus ns'
    core=0
    for fsync in everysec always; do
        for window in ${WINDOWS:-64 256}; do
            core=$((1 - core))
            start_redis "$fsync"
            give_cores $core
            start_bus --set storage.backend=redis-streams \
                --redis-url "redis://127.0.0.1:$redis_port"
            measure acks "$work/acks" --seconds "${WARM:-6}" --window "$window"
            durable_rounds "$window"
            measure acks "$work/acks" --warm 0.5 --window "$window" --ids
            stop_server
            echo "durable, fsync $fsync, window $window: to 4 connections:" \
                "$(spread "$work/to_four"); to one:" \
                "$(spread "$work/to_one"); with ids" \
                "$(field "$work/acks" acks_per_second) acks/s"
        done
    done
}

# A floor with a fault must fail the test, one without must pass.
try_fault() {
    wanted=$1
    shift
    start_floor "$@"
    got=0
    "$bench" fanout --plain --port "$port" --pid "$server" --receivers 20 \
        --seconds 0.3 >"$work/table" || got=$?
    stop_server
    tail -n 1 "$work/table"
    if [ "$got" != "$wanted" ]; then
        echo "selftest: floor $*: exit status $got, not $wanted" >&2
        return 1
    fi
}

selftest() {
    try_fault 0 --wire-length 400
    for fault in drop dup swap; do
        try_fault 1 --$fault-every 1000
    done
    echo "selftest: every fault was noticed"
}

case $what in
fanout) fanout ;;
pairs) pairs ;;
durable) durable ;;
selftest) selftest ;;
table) . "$source/tools/bench/table.sh" ;;
short)
    set -- short
    . "$source/tools/bench/table.sh"
    ;;
storm | idle | slow | history) once "$what" "$@" ;;
smoke) smoke "$@" ;;
*)
    echo "run.sh: there is no $what; run.sh alone tells what there is" >&2
    exit 2
    ;;
esac
