#!/bin/sh
# The chaos suite: a real plugd, plugins that fail in every way, callers on both planes, an operator; then every promise
# is checked on what was recorded.  docs/reliability.md says what is done and what is checked.
#
#   sh tests/chaos/run.sh                        one run of a minute
#   sh tests/chaos/run.sh --minutes 60 --seed S  runs of a minute with the seeds S, S+1, … for an hour
#   sh tests/chaos/run.sh --seed S               the steps of seed S again
#   sh tests/chaos/run.sh --seed S --print       what they are
#   sh tests/chaos/run.sh --check DIR            look at a history again
#   sh tests/chaos/run.sh --help                 all options
#
# $PLUG_BUILD_DIR: the build to run (build/dev).  As root the run has a small file system of its own for what plugd writes;
# otherwise a full disk is left out.
set -u

root=$(CDPATH='' cd -- "$(dirname -- "$0")/../.." && pwd -P)
PLUG_BUILD_DIR=${PLUG_BUILD_DIR:-$root/build/dev}
PYTHONPATH=$root/tests/support:$root/tests/chaos
PYTHONDONTWRITEBYTECODE=1
export PLUG_BUILD_DIR PYTHONPATH PYTHONDONTWRITEBYTECODE

if [ "$(id -u)" -eq 0 ] && unshare --mount true 2>/dev/null; then
	CHAOS_MOUNTS=own exec unshare --mount --propagation private /usr/bin/python3 -m driver "$@"
fi
exec /usr/bin/python3 -m driver "$@"
