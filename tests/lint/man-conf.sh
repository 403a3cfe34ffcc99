#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
#
# The options in arqonbus.conf(5) are those that the daemon has.
#
#     man-conf.sh DAEMON [MANUAL]           compare; differences fail
#     man-conf.sh --update DAEMON [MANUAL]  write them into the manual
set -eu

update=no
if [ "${1-}" = --update ]; then
	update=yes
	shift
fi
if [ $# -lt 1 ]; then
	echo "usage: man-conf.sh [--update] DAEMON [MANUAL]" >&2
	exit 2
fi
daemon=$1
manual=${2-${srcdir-.}/man/arqonbus.conf.5}

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

"$daemon" --dump-mdoc >"$folder/is"
if ! [ -s "$folder/is" ]; then
	echo "man-conf.sh: $daemon --dump-mdoc printed nothing" >&2
	exit 1
fi

# The lines between the marks, which are comments of the manual.
begin='^\.\\" begin options$'
end='^\.\\" end options$'

if [ $update = yes ]; then
	{
		sed "/$begin/q" "$manual"
		cat "$folder/is"
		sed -n "/$end/,\$p" "$manual"
	} >"$folder/new"
	cat "$folder/new" >"$manual"
	exit 0
fi

sed -n "/$begin/,/$end/p" "$manual" | sed '1d;$d' >"$folder/says"
if ! diff -u "$folder/says" "$folder/is"; then
	echo "man-conf.sh: $manual is not what $daemon has;" \
		"run man-conf.sh --update" >&2
	exit 1
fi
