#!/bin/sh
# Measure, and put the table into docs/performance.md.  Every row waits until the machine does nothing else; the load
# average is recorded with the figures.
# Usage: tools/bench/record.sh BUILD_DIR [plugbench options, such as --peers DIR]
set -eu
[ $# -ge 1 ] || { echo "usage: $0 BUILD_DIR [plugbench options]" >&2; exit 2; }
build=$1
shift
doc=$(cd "$(dirname "$0")/../.." && pwd)/docs/performance.md
new=$(mktemp)
trap 'rm -f "$new" "$new.doc"' EXIT

"$build/bin/plugbench" --markdown --when-quiet "$@" > "$new"
awk -v table="$new" '
	/<!-- measured: end -->/ { skip = 0 }
	!skip
	/<!-- measured: begin -->/ {
		while ((getline line < table) > 0)
			print line
		skip = 1
	}' "$doc" > "$new.doc"
cat "$new.doc" > "$doc"
echo "recorded in $doc"
