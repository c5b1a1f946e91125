#!/bin/sh
# plugd in a minute: install what is missing, build, run the shipped plugins, kill one, watch it come back.
#
#   sh tools/quickstart.sh
#
# For Debian 12, as root or with sudo; needs no GPU.  The build stays in build/quickstart for the next time; everything
# else is in a temporary directory that is removed at the end, whatever happens.
set -eu

PACKAGES="gcc libc6-dev cmake ninja-build pkg-config protobuf-c-compiler libprotobuf-c-dev libnng-dev libev-dev \
libfyaml-dev libsodium-dev libjansson-dev libopenblas-dev libutf8proc-dev libncurses-dev libarchive-dev \
libmicrohttpd-dev"
START_TRIES=50 # of 0.2 s
PROMPT="The whole family"

root=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd -P)
build=$root/build/quickstart
work=
plugd_pid=
log=

say()
{
	printf '\n==> %s\n' "$*"
}

fail()
{
	printf 'quickstart: %s\n' "$*" >&2
	if [ -n "$log" ] && [ -s "$log" ]; then
		printf 'quickstart: the last lines of plugd:\n' >&2
		tail -n 20 "$log" >&2
	fi
	exit 1
}

# plugd stops its plugins in order.  Ctrl-C reaches it too; asked again a second later, it kills them at once.
clean_up()
{
	status=$?
	trap - EXIT
	trap '' HUP INT TERM
	if [ -n "$plugd_pid" ]; then
		kill -TERM "$plugd_pid" 2>/dev/null || :
		wait "$plugd_pid" 2>/dev/null || :
	fi
	if [ -n "$work" ]; then
		rm -rf -- "$work"
	fi
	exit "$status"
}

# ---- packages --------------------------------------------------------------------------------------------------------

is_installed()
{
	case $(dpkg-query -W -f='${db:Status-Abbrev}' "$1" 2>/dev/null) in
	?i*) return 0 ;;
	*) return 1 ;;
	esac
}

missing_packages()
{
	for package in $PACKAGES; do
		is_installed "$package" || printf ' %s' "$package"
	done
}

as_root()
{
	if [ "$(id -u)" -eq 0 ]; then
		env DEBIAN_FRONTEND=noninteractive "$@"
	else
		sudo env DEBIAN_FRONTEND=noninteractive "$@"
	fi
}

install_packages()
{
	command -v apt-get >/dev/null ||
		fail "no apt-get here. Install what these Debian packages hold, then build as README.md says: $PACKAGES"
	missing=$(missing_packages)
	if [ -z "$missing" ]; then
		say "Debian packages: all there"
		return
	fi
	say "Installing Debian packages:$missing"
	[ "$(id -u)" -eq 0 ] || command -v sudo >/dev/null ||
		fail "neither root nor sudo. As root: apt-get install --no-install-recommends$missing"
	# A foreign source that cannot be reached is no reason to stop: the installation below decides.
	as_root apt-get update -q || printf 'quickstart: apt-get update had errors; going on with the lists there are\n' >&2
	# shellcheck disable=SC2086 # a list of words
	as_root apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=60 $missing ||
		fail "apt-get could not install:$missing. Its last lines above say why"
}

# ---- build -----------------------------------------------------------------------------------------------------------

build_all()
{
	say "Building plugd, plugctl and the plugins in $build: about 20 s the first time"
	cd "$root"
	cmake --preset release -B "$build" -DBUILD_TESTING=OFF >"$work/build.log" 2>&1 ||
		fail "cmake could not configure the build:" "$(cat "$work/build.log")"
	if [ -t 1 ]; then # one line that shows how far it is
		cmake --build "$build" || fail "the build failed; the compiler's messages are above"
	else
		cmake --build "$build" >"$work/build.log" 2>&1 || fail "the build failed:" "$(cat "$work/build.log")"
	fi
}

# ---- the show --------------------------------------------------------------------------------------------------------

run()
{
	printf '\n$ plugctl'
	for word; do
		case $word in
		*' '*) printf " '%s'" "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
	plugctl "$@" || fail "plugctl $1 ended with status $?"
}

plugctl()
{
	"$build/bin/plugctl" --runtime-dir "$work/run" "$@"
}

start_plugd()
{
	say "Starting plugd on the shipped plugins, runtime directory $work/run"
	log=$work/plugd.log
	"$build/bin/plugd" --plugin-dir "$build/plugins" --runtime-dir "$work/run" 2>"$log" &
	plugd_pid=$!
	tries=0
	until plugctl version >/dev/null 2>&1; do
		kill -0 "$plugd_pid" 2>/dev/null || fail "plugd ended at once"
		tries=$((tries + 1))
		[ "$tries" -lt "$START_TRIES" ] || fail "plugd does not answer"
		sleep 0.2
	done
	plugctl start echo gpt2 >/dev/null || fail "the plugins did not become ready"
}

model_pid()
{
	plugctl --json status gpt2 | tr -d '\n' | sed -n 's/.*"pid": *\([0-9][0-9]*\).*/\1/p'
}

show()
{
	run list
	say "Generating text: pieces are printed as the model makes them, then what else it answers"
	run call gpt2 generate "prompt=$PROMPT" max_tokens=60 seed=2

	pid=$(model_pid)
	[ "${pid:-0}" -gt 0 ] || fail "no pid of gpt2 in plugctl --json status gpt2"
	say "Killing the model's process"
	printf '\n$ kill -KILL %s\n' "$pid"
	kill -KILL "$pid" || fail "process $pid could not be killed"

	say "Calling it all the same: plugd keeps the call until the next process is ready"
	run call gpt2 generate "prompt=$PROMPT" max_tokens=60 seed=2
	say "What happened"
	run crashes gpt2
	run list
	again=$(model_pid)
	[ "$again" != "$pid" ] || fail "gpt2 still has pid $pid"
}

stop_plugd()
{
	say "Stopping: calls in flight end, the plugins end, plugd ends"
	run shutdown
	status=0
	wait "$plugd_pid" || status=$?
	plugd_pid=
	[ "$status" -eq 0 ] || fail "plugd ended with status $status"
}

cat <<END
This builds plugd, a supervisor that runs AI plugins as processes of their own, and shows it:
  1. installs the Debian packages that are missing (with apt-get, as root or by sudo)
  2. builds into $build
  3. starts plugd on the shipped plugins in a temporary directory
  4. generates text with the shipped GPT-2, kills its process, and calls it again
  5. stops everything it started
END

trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

install_packages
work=$(mktemp -d "${TMPDIR:-/tmp}/plugd.XXXXXX")
build_all
start_plugd
show
stop_plugd

say "Done. Next: README.md, and docs/writing-a-plugin.md for a plugin of your own. To go on playing:"
cat <<END
  $build/bin/plugd --plugin-dir $build/plugins --runtime-dir /tmp/plugd-$(id -u) &
  $build/bin/plugctl --runtime-dir /tmp/plugd-$(id -u) list
END
