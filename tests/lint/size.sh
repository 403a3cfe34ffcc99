#!/bin/sh
# Functions and files stay small enough to be read.
set -eu
srcdir=${srcdir:-.}
command -v ctags >/dev/null || exit 77
bad=0
for file in $(find "$srcdir/core" "$srcdir/plugins" "$srcdir/tools" \
    -name '*.[ch]'); do
    lines=$(wc -l <"$file")
    most=800
    case $file in
    *.h) most=250 ;;
    esac
    if [ "$lines" -gt "$most" ]; then
        echo "$file: $lines lines, the limit is $most"
        bad=1
    fi
done
long=$(find "$srcdir/core" "$srcdir/plugins" "$srcdir/tools" -name '*.c' \
    -exec ctags -x --c-kinds=f --_xformat='%N %{line} %{end} %F' {} + |
    awk '$3 - $2 + 1 > 100 { print $4 ": " $1 ": " $3 - $2 + 1 " lines" }')
if [ -n "$long" ]; then
    echo "functions over 100 lines:"
    echo "$long"
    bad=1
fi
exit $bad
