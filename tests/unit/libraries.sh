#!/bin/sh
# usage: libraries.sh 1|0 PROGRAM...
# With 1 (PLUG_STATIC_LIBRARIES) the programs need no library at run time but libc's own; else they do.
set -eu

holds=$1
shift
for program; do
	needed=$(readelf -d "$program" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
		grep -Ev '^(libc|libm|libdl|libpthread|libgcc_s|ld-linux.*)\.so' || true)
	case $holds,${needed:+some} in
	1, | 0,some) echo "$program: ${needed:-none}" ;;
	*)
		echo "$program: PLUG_STATIC_LIBRARIES is $holds, and it needs: ${needed:-nothing}" >&2
		exit 1
		;;
	esac
done
