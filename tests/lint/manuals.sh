#!/bin/sh
# Manuals are written in mdoc that mandoc has nothing to say about.
set -eu
srcdir=${srcdir:-.}
command -v mandoc >/dev/null || exit 77
mandoc -Tlint -Wwarning "$srcdir"/man/*.[1-9]
