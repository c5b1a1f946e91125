#!/bin/sh
# All tests, from a bare Debian 12 to one line "N passed, N failed".
#
#   sh tests/run.sh                  everything
#   sh tests/run.sh --quick          the dev stage only
#   sh tests/run.sh --only asan      one stage: dev, asan, tsan, clang or fuzz; may be repeated
#   sh tests/run.sh -k EXPRESSION    of the scenarios, only those whose names match
#   sh tests/run.sh --no-install     do not look for missing packages
#
#   dev    gcc, warnings are errors: lint, unit tests, models, scenarios, a short chaos run
#   asan   address and undefined-behaviour sanitizers: unit tests, scenarios
#   tsan   thread sanitizer: unit tests; of the scenarios those in which libplug's threads have work (all of them with
#          $PLUG_TSAN_ALL=yes; plugd has one thread)
#   clang  warnings are errors: unit tests, without those that mostly wait for time to pass
#   fuzz   libFuzzer with clang and the sanitizers of asan: every target of tests/fuzz, $JOBS at a time, for
#          $PLUG_FUZZ_SECONDS (else a minute, or 20 s for small parts)
#
# Needs no GPU.  As root or with sudo where packages are missing.  Builds are kept in build/STAGE (below
# $PLUG_BUILD_ROOT if that is set), where the next run goes on.  $JOBS: compilers at a time; $PLUG_TEST_WORKERS: scenarios
# at a time.
set -u

PACKAGES="gcc g++ libc6-dev cmake make ninja-build pkg-config git
	libnng-dev libprotobuf-c-dev protobuf-c-compiler protobuf-compiler libev-dev libfyaml-dev libsodium-dev libjansson-dev
	libopenblas-dev libutf8proc-dev libpng-dev libncurses-dev libarchive-dev libmicrohttpd-dev libcmocka-dev
	clang libclang-rt-dev clang-format man-db spin gdb valgrind tmux graphviz minisign zstd
	python3 python3-venv python3-pytest python3-pytest-xdist python3-protobuf"
PYTHON=/usr/bin/python3 # the distribution's: another one that comes first in PATH has not its packages

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
builds=${PLUG_BUILD_ROOT:-$root/build}
jobs=${JOBS:-$(nproc)}
workers=${PLUG_TEST_WORKERS:-$((2 * $(nproc)))}
stages=
install=yes
expression=
threads="channel or plane or tensor or pipeline or stream or load or resume or hostile or calls or reload"
waiting="unit_(client|sdk_plugin|os_watch|shared_ring_threads)"
began=$(date +%s)
broken=0
results=

say()
{
	printf '\n==> %s\n' "$*"
}

usage()
{
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0" | sed '$d'
	exit "$1"
}

while [ $# -gt 0 ]; do
	case $1 in
	--only)
		case ${2:-} in
		dev | asan | tsan | clang | fuzz) stages="$stages $2" ;;
		*) usage 2 ;;
		esac
		shift
		;;
	--quick) stages="$stages dev" ;;
	--no-install) install=no ;;
	-k)
		[ $# -ge 2 ] || usage 2
		expression=$2
		shift
		;;
	-h | --help) usage 0 ;;
	*) usage 2 ;;
	esac
	shift
done
stages=${stages:-dev asan tsan clang fuzz}

# ---- packages --------------------------------------------------------------------------------------------------------

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

missing_packages()
{
	for package in $PACKAGES; do
		case $(dpkg-query -W -f='${db:Status-Abbrev}' "$package" 2>/dev/null) in
		?i*) ;;
		*) printf ' %s' "$package" ;;
		esac
	done
}

install_packages()
{
	missing=$(missing_packages)
	if [ -z "$missing" ]; then
		say "every package that the tests need is installed"
		return
	fi
	say "installing with apt-get:$missing"
	# shellcheck disable=SC2086 # a list of words
	as_root apt-get -q update && as_root apt-get -q -y install --no-install-recommends $missing || {
		echo "run.sh: the packages could not be installed; install them by hand and use --no-install" >&2
		exit 1
	}
}

# ---- stages ----------------------------------------------------------------------------------------------------------

# A step that gives no test report of its own counts as one failure when it fails.
step()
{
	what=$1
	shift
	say "$what"
	"$@" && return 0
	echo "run.sh: FAILED: $what" >&2
	broken=$((broken + 1))
	return 1
}

# A disk that is still busy with what was built can stall processes for seconds, which plugd takes for hung.
build()
{
	step "[$1] configuring $builds/$1" cmake --preset "$1" -B "$builds/$1" &&
		step "[$1] building" cmake --build "$builds/$1" -j "$jobs" && sync
}

# Reports are what is counted, so a run that left none is a failure.
tests()
{
	name=$1
	report=$builds/$2
	shift 2
	say "$name"
	rm -f "$report"
	"$@" || echo "run.sh: FAILED: $name" >&2
	if [ -s "$report" ]; then
		results="$results $report"
	else
		broken=$((broken + 1))
	fi
}

unit_tests()
{
	stage=$1
	shift
	tests "[$stage] ctest $*" "$stage-ctest.xml" \
		ctest --test-dir "$builds/$stage" -j "$jobs" --output-on-failure --output-junit "$builds/$stage-ctest.xml" \
		"$@"
}

scenarios()
{
	stage=$1
	shift
	tests "[$stage] scenarios against the real daemon" "$stage-scenarios.xml" \
		env PLUG_BUILD_DIR="$builds/$stage" "$PYTHON" -m pytest -q -p no:cacheprovider \
		-n "$workers" --junitxml="$builds/$stage-scenarios.xml" ${expression:+-k "$expression"} "$@" \
		"$root/tests/integration"
}

chaos()
{
	tests "[$1] chaos: short runs of fixed seeds" "$1-chaos.xml" \
		env PLUG_BUILD_DIR="$builds/$1" "$PYTHON" -m pytest -q -p no:cacheprovider \
		--junitxml="$builds/$1-chaos.xml" "$root/tests/chaos"
}

dev()
{
	build dev || return
	tests "[dev] lint" dev-lint.xml \
		env PLUG_BUILD_DIR="$builds/dev" "$PYTHON" -m pytest -q -p no:cacheprovider -n "$jobs" \
		--junitxml="$builds/dev-lint.xml" "$root/tests/lint"
	unit_tests dev -LE scenarios
	scenarios dev
	chaos dev
}

asan()
{
	build asan || return
	unit_tests asan -LE 'scenarios|model'
	scenarios asan
}

tsan()
{
	build tsan || return
	unit_tests tsan -L unit
	[ -n "$expression" ] || [ "${PLUG_TSAN_ALL:-no}" != no ] || expression=$threads
	scenarios tsan
	[ "$expression" != "$threads" ] || expression=
}

clang()
{
	build clang || return
	unit_tests clang -L unit -E "$waiting"
}

fuzz()
{
	step "[fuzz] configuring $builds/fuzz" cmake --preset fuzz -B "$builds/fuzz" &&
		step "[fuzz] building" cmake --build "$builds/fuzz" -j "$jobs" --target fuzzers || return
	unit_tests fuzz -L fuzz
}

# ---- all of it -------------------------------------------------------------------------------------------------------

[ "$install" = no ] || install_packages
mkdir -p "$builds"
cd "$root" || exit 1
times=
for stage in $stages; do
	stage_began=$(date +%s)
	"$stage"
	times="$times $stage $(($(date +%s) - stage_began)) s,"
done

say "after $(($(date +%s) - began)) s (${times%,} ); reports are in $builds"
# shellcheck disable=SC2086 # a list of words
"$PYTHON" "$root/tests/support/count.py" "$broken" $results
