#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# Become a peer to measure the bus against, in the foreground and silent but for
# what keeps it from starting:
#
#     start.sh mosquitto | nats | nchan WORKDIR PORT
#
# It listens for WebSocket clients at PORT of 127.0.0.1 and keeps its files in
# WORKDIR, a folder of its own.  arqonbus-bench speaks with them by --dialect
# mqtt, nats and nchan.  Exits with 77 where the peer is not installed.  In the
# configurations beside this file @WORK@ and @PORT@ stand for the arguments.
set -eu

if [ $# -ne 3 ]; then
    echo "usage: start.sh mosquitto | nats | nchan WORKDIR PORT" >&2
    exit 2
fi
peer=$1
work=$(cd "$2" && pwd)
port=$3
here=$(cd "$(dirname "$0")" && pwd)
PATH=$PATH:/usr/local/sbin:/usr/sbin

# A descriptor for each client: as many as this user may have.
# shellcheck disable=SC3045 # every /bin/sh that we build on has it
ulimit -n "$(ulimit -H -n)"

need() {
    if [ -z "$(command -v "$1")" ] && [ ! -e "$1" ]; then
        echo "start.sh: $1 is not installed" >&2
        exit 77
    fi
}

configure() {
    sed -e "s|@WORK@|$work|g" -e "s|@PORT@|$port|g" "$here/$1" >"$work/$1"
}

case $peer in
mosquitto)
    need mosquitto
    configure mosquitto.conf
    # It warns of root whatever its settings are.
    exec mosquitto -c "$work/mosquitto.conf" >"$work/mosquitto.log" 2>&1
    ;;
nats)
    need nats-server
    configure nats.conf
    # One thread that runs Go at a time, as the others have one: more of them
    # cost more CPU for each delivery.
    GOMAXPROCS=${GOMAXPROCS:-1}
    export GOMAXPROCS
    exec nats-server -c "$work/nats.conf"
    ;;
nchan)
    need nginx
    need /usr/lib/nginx/modules/ngx_nchan_module.so
    configure nchan.conf
    # As a single process nchan ends by SIGTERM with an abort.
    # shellcheck disable=SC3045
    ulimit -c 0
    exec nginx -p "$work" -e /dev/null -c "$work/nchan.conf"
    ;;
*)
    echo "start.sh: there is no $peer; only mosquitto, nats, nchan" >&2
    exit 2
    ;;
esac
