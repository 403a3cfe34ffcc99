#!/bin/sh
# Fuzz each target for some seconds with libFuzzer; findings stay in
# build/fuzz.
set -eu
seconds=$1
out=build/fuzz
mkdir -p "$out"
libs=$(pkg-config --libs libevent_core json-c libcrypto zlib)
flags="-std=gnu11 -D_GNU_SOURCE -O1 -g -Icore -Iinclude -Itests"
find core -name '*.c' ! -name arqonbusd.c | while read -r source; do
    echo "$out/$(echo "$source" | tr / _).o $source"
done >"$out/sources"
objects=$(cut -d' ' -f1 "$out/sources")
# shellcheck disable=SC2086
xargs -n 2 -P "$(nproc)" clang $flags \
    -fsanitize=fuzzer-no-link,address,undefined -c -o <"$out/sources"
for target in tests/fuzz/fuzz_*.c; do
    name=$(basename "$target" .c | sed s/fuzz_//)
    echo "== $name"
    # shellcheck disable=SC2086
    clang $flags -fsanitize=fuzzer,address,undefined "$target" $objects \
        $libs -lpthread -ldl -o "$out/$name"
    mkdir -p "$out/corpus-$name"
    "$out/$name" -max_total_time="$seconds" -max_len=8192 -print_final_stats=1 \
        -artifact_prefix="$out/$name-" "$out/corpus-$name" \
        "tests/fuzz/corpus/$name" 2>&1 | grep -E 'SUMMARY|stat::number_of|ERROR' || true
done
if ls "$out"/*-crash-* "$out"/*-leak-* >/dev/null 2>&1; then
    echo "findings in $out"
    exit 1
fi
