#!/bin/sh
# Who includes whom: a file includes its own layer and those before it.
set -eu
srcdir=${srcdir:-.}
layers="base loop conf proto host bus cmd net main"
bad=0
seen=
for layer in $layers; do
    seen="$seen|$layer"
    wrong=$(grep -nE '^#include "[a-z]+/' "$srcdir/core/$layer"/*.[ch] |
        grep -vE "\"(${seen#|})/" || true)
    if [ -n "$wrong" ]; then
        echo "layer $layer includes a later one:"
        echo "$wrong"
        bad=1
    fi
done
# net meets the bus in one place, and knows nothing of plugins or commands.
wrong=$(grep -nE '^#include "(host|cmd|bus)/' "$srcdir"/core/net/*.[ch] |
    grep -v '"bus/port.h"' || true)
if [ -n "$wrong" ]; then
    echo "net includes more of the bus than port.h:"
    echo "$wrong"
    bad=1
fi
# Plugins are written against the installed headers alone.
wrong=$(grep -rnE '#include "(base|loop|conf|proto|host|bus|cmd|net|main)/' \
    "$srcdir/plugins" || true)
if [ -n "$wrong" ]; then
    echo "a plugin includes the core:"
    echo "$wrong"
    bad=1
fi
exit $bad
