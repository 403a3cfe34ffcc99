#!/bin/sh
# A plugin exports one symbol, arqonbus_plugin, and nothing else: what a
# plugin does not show, no other can lean on.  Looks at the files it is given,
# else at those that were built.
set -eu
command -v nm >/dev/null || exit 77
if [ $# -eq 0 ]; then
    set -- "${PLUGIN_DIR:-${ARQONBUS_BUILD:-.}/plugins/.libs}"/*.so
fi
bad=0
for file in "$@"; do
    if [ ! -f "$file" ]; then
        echo "$file: is not there; build the plugins first"
        exit 1
    fi
    # Sanitizers and coverage add symbols of their own.
    symbols=$(nm -D --defined-only --format=posix "$file" |
        awk '$1 !~ /^(__asan|__ubsan|__tsan|__lsan|__odr_asan|__gcov|__start_|__stop_)/ {
            print $1 " " $2 }')
    case $symbols in
    "arqonbus_plugin R" | "arqonbus_plugin D") ;;
    *)
        echo "$file: exports this, and not arqonbus_plugin alone:"
        echo "${symbols:-nothing}"
        bad=1
        ;;
    esac
done
exit $bad
