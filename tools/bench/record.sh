#!/bin/sh
# Measure, put the tables into docs/performance.md and draw docs/latency.svg.  Every row waits until the machine does
# nothing else; the load average is recorded with the figures.  Drawing needs python3-matplotlib.
# Usage: tools/bench/record.sh BUILD_DIR [plugbench options, such as --peers DIR]
set -eu
[ $# -ge 1 ] || { echo "usage: $0 BUILD_DIR [plugbench options]" >&2; exit 2; }
build=$1
shift
here=$(cd "$(dirname "$0")" && pwd)
docs=$(cd "$here/../../docs" && pwd)
new=$(mktemp)
trap 'rm -f "$new" "$new.doc" "$new.json"' EXIT

"$build/bin/plugbench" --markdown --when-quiet --save "$new.json" "$@" > "$new"
/usr/bin/python3 "$here/plot.py" "$new.json" "$docs/latency.svg"
awk -v table="$new" '
	/<!-- measured: end -->/ { skip = 0 }
	!skip
	/<!-- measured: begin -->/ {
		while ((getline line < table) > 0)
			print line
		skip = 1
	}' "$docs/performance.md" > "$new.doc"
cat "$new.doc" > "$docs/performance.md"
echo "recorded in $docs/performance.md and $docs/latency.svg"
