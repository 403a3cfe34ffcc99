# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154
#
# The table of doc/performance.md: sourced by run.sh.  Every case is measured in
# rounds, in each of them every server once, so that what the machine does
# otherwise hits all alike, and every second round in the other order, so that
# none has the better place; what counts is the ratio to the floor of the same
# round.  ROUNDS (5) and PEERS ("mosquitto nats nchan", those that are there)
# say how much.

results=$work/results
failures=$work/failures
: >"$failures"

peers=
for peer in ${PEERS-mosquitto nats nchan}; do
    if has_peer "$peer"; then
        peers="$peers $peer"
    fi
done

# The flags of arqonbus-bench for a server.
dialect() {
    case $1 in
    floor) echo --plain ;;
    mosquitto) echo --dialect mqtt ;;
    nats) echo --dialect nats ;;
    nchan) echo --dialect nchan ;;
    deflate) echo --deflate ;;
    esac
}

start_named() {
    case $1 in
    bus) start_bus ;;
    threads) IO_THREADS=2 start_bus ;;
    deflate) start_bus --set server.deflate=yes ;;
    floor) start_floor --wire-length "${wire:-400}" ;;
    *) start_peer "$1" ;;
    esac
}

# Note every figure of a result: case, round, server, name, value.
note() {
    for key in p50 p99 p99.9; do
        echo "$1 $2 $3 $key $(measured "$work/result" "$key")" >>"$results"
        echo "$1 $2 $3 ${key}_corrected $(field "$work/result" "$key")" \
            >>"$results"
    done
    for key in cpu_ns deliveries_per_second trips_per_second \
        connections_per_second rss_bytes rss_per_connection last_us \
        others_share cpu_share; do
        value=$(field "$work/result" "$key")
        [ -z "$value" ] || echo "$1 $2 $3 $key $value" >>"$results"
    done
}

# What could not be measured is told now and in the end, and the rest goes on.
lose() {
    echo "FAILED: $1, round $2: $3" | tee -a "$failures" >&2
}

reversed() {
    turned=
    for word in "$@"; do
        turned="$word $turned"
    done
    echo "$turned"
}

# Case $1 on the servers $2, with the rest for arqonbus-bench; the bus is the
# first of them, for the floor sends as many bytes as it did.
measure_case() {
    name=$1
    servers=$2
    test=$3
    shift 3
    echo "$name:$(echo "$servers" | tr -s ' ' | sed 's/^ */ /')" >&2
    for i in $(seq "$rounds"); do
        order=$servers
        # shellcheck disable=SC2086
        [ $((i % 2)) = 1 ] || order=$(reversed $servers)
        for s in $order; do
            # shellcheck disable=SC2046
            if start_named "$s" &&
                measure "$test" "$work/result" $(dialect "$s") "$@"; then
                [ "$s" != bus ] || wire=$(field "$work/result" wire)
                note "$name" "$i" "$s"
            else
                lose "$name" "$i" "$s"
            fi
            stop_server
        done
    done
}

# One line for each case and server: the middle of the rounds.  $1: the figure
# that is divided by the floor's; the rest: others to be told as they are.
print_table() {
    ratio=$1
    shift
    awk -v ratio="$ratio" -v names="$*" -v cases="$cases" '
        function sorted(list, n, out,   i, j, t) {
            n = split(list, out, " ")
            for (i = 2; i <= n; i++) {
                t = out[i] + 0
                for (j = i - 1; j > 0 && out[j] + 0 > t; j--) {
                    out[j + 1] = out[j]
                }
                out[j + 1] = t
            }
            return n
        }
        function middle(list,   n, s) {
            n = sorted(list, 0, s)
            return n == 0 ? 0 : (s[int((n + 1) / 2)] + s[int(n / 2) + 1]) / 2
        }
        function show(x) {
            return x >= 100 ? sprintf("%.0f", x) : \
                x >= 10 ? sprintf("%.1f", x) : \
                x >= 0.1 ? sprintf("%.2f", x) : sprintf("%.4f", x)
        }
        {
            all[$1, $3, $4] = all[$1, $3, $4] " " $5
            one[$1, $2, $3, $4] = $5
            if (!(($1, $3) in seen)) {
                seen[$1, $3] = 1
                order[$1] = order[$1] " " $3
            }
            if ($2 > rounds) rounds = $2
        }
        END {
            k = split(names, name, " ")
            head = "| case | server | " ratio " | x floor (spread) |"
            line = "|---|---|---|---|"
            for (i = 1; i <= k; i++) {
                head = head " " name[i] " |"
                line = line "---|"
            }
            print head "\n" line
            m = split(cases, c, " ")
            for (i = 1; i <= m; i++) {
                n = split(order[c[i]], server, " ")
                for (j = 1; j <= n; j++) {
                    s = server[j]
                    r = ""
                    for (t = 1; t <= rounds; t++) {
                        f = one[c[i], t, "floor", ratio]
                        if (f > 0) r = r " " one[c[i], t, s, ratio] / f
                    }
                    q = sorted(r, 0, v)
                    out = "| " c[i] " | " s " | " \
                        show(middle(all[c[i], s, ratio])) " | " \
                        (q == 0 ? "-" : s == "floor" ? "1" : \
                        q == 1 ? sprintf("%.2f (one round)", v[1]) : sprintf( \
                        "%.2f (%.2f to %.2f)", middle(r), v[1], v[q])) " |"
                    for (t = 1; t <= k; t++) {
                        out = out " " show(middle(all[c[i], s, name[t]])) " |"
                    }
                    print out
                }
            }
        }' "$results"
}

about_machine() {
    echo "Measured on $(date -u +%Y-%m-%d): $(nproc) x" \
        "$(sed -n 's/^model name.*: //p' /proc/cpuinfo | head -n 1)," \
        "Linux $(uname -r), $(gcc --version | head -n 1);" \
        "$rounds rounds of $seconds s each."
}

# Who is measured, and how each is set: all over WebSocket, on one thread.
about_servers() {
    echo
    echo "* bus: ArqonBus $(version_of bus): \`$bus_settings\`"
    echo "* floor: one thread on epoll (tools/bench/floor.c)"
    for peer in $peers; do
        echo "* $peer $(version_of "$peer"), over WebSocket:"
        echo
        settings_of "$peer" | sed 's/^/      /'
        echo
    done
    for peer in ${PEERS-mosquitto nats nchan}; do
        has_peer "$peer" || echo "* $peer: not installed"
    done
}

starts() {
    free_port >/dev/null
    for s in bus floor; do
        case $s in
        bus) set -- "$build/arqonbusd" --config /dev/null --log-level error \
            --telemetry-port 0 --plugins-dir "$source/etc/plugins.d" \
            --plugin-path "$build/plugins/.libs" ;;
        floor) set -- "$build/tools/bench/floor" ;;
        esac
        if "$bench" start --port "$port" --json "$work/result" -- "$@" \
            --port "$port" >"$work/table" 2>&1; then
            note start 1 "$s"
        else
            cat "$work/table" >&2
            lose start 1 "$s"
        fi
    done
}

title() {
    echo
    echo "### $*"
    echo
}

table_short() {
    : >"$results"
    cases="1->100,200B pairs,1"
    measure_case "1->100,200B" "bus floor $peers" fanout
    title "Fan-out: CPU of the server for each delivery, ns"
    print_table cpu_ns deliveries_per_second p50 p99 p99_corrected others_share
    : >"$results"
    measure_case pairs,1 "bus floor $peers" pairs --pairs 1
    title "One to one: CPU of the server for each round trip, ns"
    print_table cpu_ns trips_per_second p50 p99 p99_corrected others_share
}

table_fanout() {
    : >"$results"
    cases="1->100,16B 1->100,200B 1->100,4KiB 1->1000,200B 10x1->100,200B"
    measure_case "1->100,16B" "bus floor" fanout --size 16
    measure_case "1->100,200B" "bus floor threads $peers" fanout
    measure_case "1->100,4KiB" "bus floor" fanout --size 4096
    measure_case "1->1000,200B" "bus floor deflate" fanout --receivers 1000
    measure_case "10x1->100,200B" "bus floor threads" fanout --channels 10
    title "Fan-out: CPU of the server for each delivery, ns"
    print_table cpu_ns deliveries_per_second p50 p99 p99.9 p99_corrected
}

table_pairs() {
    : >"$results"
    cases="pairs,1 pairs,100"
    measure_case pairs,1 "bus floor threads" pairs --pairs 1
    measure_case pairs,100 "bus floor threads" pairs --pairs 100
    title "One to one: CPU of the server for each round trip, ns"
    print_table cpu_ns trips_per_second p50 p99 p99.9 p99_corrected
    title "One to one: median round trip, us"
    print_table p50
}

table_idle() {
    : >"$results"
    cases="idle,19000"
    measure_case idle,19000 "bus floor" idle --connections 19000
    title "Idle: a broadcast's last receiver, us; memory of each, bytes"
    print_table last_us rss_per_connection
    : >"$results"
    cases="idle,19000,60s"
    rounds=1
    measure_case idle,19000,60s bus idle --connections 19000 --seconds 60
    title "Idle for a minute, pinged every 25 s: share of a core"
    print_table cpu_share
}

table_storm() {
    : >"$results"
    rounds=1
    cases="storm,5000 start"
    measure_case storm,5000 "bus floor" storm --connections 5000 --over 5
    starts
    title "Storm: 5,000 connections in 5 s; and start to first connection, us"
    print_table p99 connections_per_second p50
}

about_machine
about_servers
case ${1:-all} in
all)
    table_fanout
    table_pairs
    table_idle
    table_storm
    ;;
short | fanout | pairs | idle | storm) "table_$1" ;;
*)
    echo "run.sh: there is no table of $1; only fanout, pairs, idle, storm" >&2
    exit 2
    ;;
esac
if [ -s "$failures" ]; then
    echo
    cat "$failures"
    exit 1
fi
