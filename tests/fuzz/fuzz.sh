#!/bin/sh
# One fuzz target for $PLUG_FUZZ_SECONDS, else SECONDS: fuzz.sh FUZZER REPLAY WORK CORPUS LENGTH SECONDS [DICTIONARY]
#
# Begins with the target's own seeds, with the inputs that are kept in CORPUS, and with what earlier runs left in
# WORK/corpus.  An input that fails is left in WORK/found, is printed, and is tried first by every later run, so that it
# has to be repaired (or removed there).  No names of functions are printed: for these the sanitizer starts another program in the
# middle of an input, whose pipes would be taken for descriptors that the input left open.
set -u

fuzzer=$1
replay=$2
work=$3
kept=$4
length=$5 # of the longest input
seconds=${PLUG_FUZZ_SECONDS:-$6}
dictionary=${7:-}

[ -d "$kept" ] || kept=$work/seeds
mkdir -p "$work/seeds" "$work/corpus" "$work/found" || exit 1
"$replay" --write "$work/seeds" || exit 1
for input in "$work"/found/*; do
	[ ! -e "$input" ] || "$replay" "$input" || exit 1
done
"$fuzzer" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len="$length" -print_final_stats=1 -print_funcs=0 -verbosity=0 \
	-artifact_prefix="$work/found/" ${dictionary:+-dict="$dictionary"} "$work/corpus" "$work/seeds" "$kept" \
	>"$work/log" 2>&1
status=$?
cat "$work/log"
if [ $status -ne 0 ]; then
	echo "fuzz.sh: what it said, without the statistics:" >&2
	grep -v -e '^stat::' -e 'NEW_FUNC' -e '^INFO:' "$work/log" | tail -n 60 >&2
	for input in "$work"/found/*; do
		[ -e "$input" ] || continue
		echo "fuzz.sh: failed on $input, replay it with: $replay $input; base64:" >&2
		base64 "$input" >&2
	done
	exit 1
fi
grep -q 'number_of_executed_units: [1-9][0-9][0-9]' "$work/log" || {
	echo "fuzz.sh: fewer than 100 inputs were tried" >&2
	exit 1
}
