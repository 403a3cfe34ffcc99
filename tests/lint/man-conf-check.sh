#!/bin/sh
# The manual's options are those of the table.
exec "${srcdir:-.}/tests/lint/man-conf.sh" ./arqonbusd
