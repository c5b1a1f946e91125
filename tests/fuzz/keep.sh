#!/bin/sh
# Keep what was learned: keep.sh BUILD [NAME…]
#
# Makes tests/fuzz/corpus/NAME anew from itself, the target's seeds and what `ctest -L fuzz` has left in BUILD (a build
# folder of the preset fuzz), as few inputs as reach the same code.  Without names: every target.  Commit the result.
set -eu

build=$(CDPATH='' cd -- "$1" && pwd)
here=$(CDPATH='' cd -- "$(dirname -- "$0")" && pwd)
shift
[ $# -gt 0 ] || set -- $(cd "$build/tests" && ls | sed -n 's/^fuzz_//p')

for name in "$@"; do
	work=$build/tests/fuzz/$name
	mkdir -p "$work/seeds" "$work/corpus" "$here/corpus/$name"
	"$build/tests/replay_$name" --write "$work/seeds" >"$work/merge.log"
	rm -rf "$work/merged"
	mkdir "$work/merged"
	"$build/tests/fuzz_$name" -set_cover_merge=1 -use_counters=0 "$work/merged" "$here/corpus/$name" "$work/seeds" \
		"$work/corpus" >>"$work/merge.log" 2>&1
	rm -rf "$here/corpus/$name"
	mv "$work/merged" "$here/corpus/$name"
	echo "$name: $(ls "$here/corpus/$name" | wc -l) inputs, $(du -bs "$here/corpus/$name" | cut -f1) bytes"
done
