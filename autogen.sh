#!/bin/sh
# Make ./configure from a clone.
set -e
cd "$(dirname "$0")"
mkdir -p m4 build-aux
autoreconf --install --force
echo "now run ./configure && make && make install"
