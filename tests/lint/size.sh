#!/bin/sh
# Functions and files stay small enough to be read.
set -eu
srcdir=${srcdir:-.}
command -v ctags >/dev/null || exit 77
bad=0
large=$(find "$srcdir/core" "$srcdir/plugins" "$srcdir/tools" \
    -name '*.[ch]' -exec wc -l {} + |
    awk '$2 != "total" && $1 > ($2 ~ /h$/ ? 250 : 800) {
        print $2 ": " $1 " lines" }')
if [ -n "$large" ]; then
    echo "files over 800 lines, or headers over 250:"
    echo "$large"
    bad=1
fi
long=$(find "$srcdir/core" "$srcdir/plugins" "$srcdir/tools" -name '*.c' \
    -exec ctags -x --c-kinds=f --_xformat='%N %{line} %{end} %F' {} + |
    awk '$3 - $2 + 1 > 100 { print $4 ": " $1 ": " $3 - $2 + 1 " lines" }')
if [ -n "$long" ]; then
    echo "functions over 100 lines:"
    echo "$long"
    bad=1
fi
exit $bad
