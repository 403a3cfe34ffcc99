#!/bin/sh
# A plugin exports one symbol, and it is data.
set -eu
bad=0
for so in plugins/.libs/*.so; do
    symbols=$(nm -D --defined-only "$so" | awk '{ print $2, $3 }' |
        grep -vE ' (__odr_asan|__asan|__ubsan|__sanitizer|_init|_fini)' |
        grep -v '__odr_asan' || true)
    case $symbols in
    "R arqonbus_plugin" | "D arqonbus_plugin" | "B arqonbus_plugin") ;;
    *)
        echo "$so exports: $symbols"
        bad=1
        ;;
    esac
done
exit $bad
