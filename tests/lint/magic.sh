#!/bin/sh
# Magic numbers tell objects apart: no two may be the same.
set -eu
srcdir=${srcdir:-.}
twice=$(grep -rhoE '#define [A-Z_]+_MAGIC 0x[0-9a-f]+' "$srcdir/core" \
    "$srcdir/plugins" "$srcdir/include" | awk '{ print $3 }' | sort | uniq -d)
if [ -n "$twice" ]; then
    echo "used twice: $twice"
    exit 1
fi
