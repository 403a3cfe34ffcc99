# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh disable=SC2154,SC2119,SC2120
#
# Servers to measure: sourced, with $build and $source set.  One runs at a
# time; $port and $server, its process, are its.

seconds=${SECONDS_EACH:-2}
PATH=$PATH:/usr/local/sbin:/usr/sbin # where Debian has mosquitto and nginx
bench=$build/arqonbus-bench
work=$(mktemp -d)
server=
port=

stop_server() {
    [ -n "$server" ] || return 0
    kill "$server" 2>/dev/null || true
    wait "$server" 2>/dev/null || true
    server=
}

finish() {
    stop_server
    rm -rf "$work"
}
trap finish EXIT
trap 'exit 130' INT TERM

# The number behind the port= of the first line in file $1 that says $2.
port_of() {
    tries=0
    while [ $tries -lt 1000 ]; do
        port=$(sed -n "s/.*$2.*port=\\([0-9]*\\).*/\\1/p" "$1" | head -n 1)
        if [ -n "$port" ]; then
            echo "$port"
            return
        fi
        kill -0 "$server" 2>/dev/null || break
        tries=$((tries + 1))
        sleep 0.01
    done
    cat "$1" >&2
    return 1
}

# The number under this name in a result.
field() {
    sed -n "s/.*\"$2\":\\([0-9.]*\\).*/\\1/p" "$1"
}

# The same of latencies as they were measured, where a closed loop's are
# corrected, too.
measured() {
    if grep -q uncorrected_us "$1"; then
        sed 's/,"latency_us":.*//' "$1" >"$1.measured"
        field "$1.measured" "$2"
    else
        field "$1" "$2"
    fi
}

bus_settings="--config /dev/null --storage memory \
--set server.max_channels=1000000 --set server.max_connections=20000"

# With more flags of the daemon's, if any.
start_bus() {
    : >"$work/log"
    # shellcheck disable=SC2086
    "$build/arqonbusd" --port 0 --telemetry-port 0 $bus_settings \
        --io-threads "${IO_THREADS:-0}" --plugins-dir "$source/etc/plugins.d" \
        --plugin-path "$build/plugins/.libs" "$@" 2>"$work/log" &
    server=$!
    port=$(port_of "$work/log" 'msg="*listening')
}

# A port that nobody has; somebody may take it meanwhile.
free_port() {
    start_floor
    stop_server
    echo "$port"
}

# Is this peer of ours installed?
has_peer() {
    case $1 in
    mosquitto) command -v mosquitto ;;
    nats) command -v nats-server ;;
    nchan) command -v nginx && ls /usr/lib/nginx/modules/ngx_nchan_module.so ;;
    esac >/dev/null 2>&1
}

version_of() {
    case $1 in
    mosquitto) mosquitto -h | sed -n '1s/.*version //p' ;;
    nats) nats-server --version | sed 's/.*v//' ;;
    nchan)
        nchan=$(dpkg-query -W -f '${Version}' libnginx-mod-nchan 2>/dev/null ||
            echo unknown)
        echo "$nchan in nginx $(nginx -v 2>&1 | sed 's|.*/||')"
        ;;
    bus) "$build/arqonbusd" --version | sed 's/[^ ]* //' ;;
    esac
}

# The settings of a peer, without what explains them.
settings_of() {
    case $1 in
    nats) echo "GOMAXPROCS=${GOMAXPROCS:-1}" ;;
    esac
    file=$source/tools/bench/peers/$1.conf
    sed -e '/^ *#/d' -e '/^ *$/d' "$file"
}

# mosquitto, nats or nchan, as tools/bench/peers sets it up.
start_peer() {
    free_port >/dev/null
    mkdir -p "$work/$1"
    "$source/tools/bench/peers/start.sh" "$1" "$work/$1" "$port" \
        >"$work/log" 2>&1 &
    server=$!
    wait_for_port
}

wait_for_port() {
    tries=0
    until curl -s -o /dev/null --max-time 1 "http://127.0.0.1:$port/" ||
        [ $? -ne 7 ]; do # 7: no connection
        tries=$((tries + 1))
        if [ $tries -ge 300 ] || ! kill -0 "$server" 2>/dev/null; then
            cat "$work/log" >&2
            return 1
        fi
        sleep 0.02
    done
}

start_floor() {
    : >"$work/log"
    "$build/tools/bench/floor" "$@" 2>"$work/log" &
    server=$!
    port=$(port_of "$work/log" 'floor listening')
}

# Run a test of $1 against the server, result in $2; its table only matters
# when it fails.
measure() {
    result=$2
    test=$1
    shift 2
    [ "$test" = storm ] || set -- --seconds "$seconds" "$@"
    if ! "$bench" "$test" --port "$port" --pid "$server" \
        --json "$result" "$@" >"$work/table"; then
        cat "$work/table" "$work/log" >&2
        return 1
    fi
}

# The middle and the ends of the numbers in a file.
spread() {
    sort -n "$1" | awk '
        { r[NR] = $1 }
        END {
            m = (r[int((NR + 1) / 2)] + r[int(NR / 2) + 1]) / 2
            printf "median %.2f, from %.2f to %.2f", m, r[1], r[NR]
        }'
}

