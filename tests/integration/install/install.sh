#!/bin/sh
# Installs a build into an empty prefix, moves the prefix, builds a plugin and a caller outside the tree against it,
# with find_package() and with pkg-config, and runs them under the installed plugd.
#
# usage: install.sh BUILD_DIR static|shared [C_COMPILER CXX_COMPILER]
# With shared, BUILD_DIR is only where plugd and plugctl come from: the SDK is built anew as shared libraries.
set -eu
unset PLUGD_SOCKET PLUG_CLIENT_TOKEN XDG_RUNTIME_DIR

here=$(cd "$(dirname "$0")" && pwd)
source_dir=$(cd "$here/../../.." && pwd)
build=$1
kind=$2
cc=${3:-cc}
cxx=${4:-c++}
work=$(mktemp -d "${TMPDIR:-/tmp}/plug-install-XXXXXX")
daemon=

say() {
	echo "install: $*"
}

fail() {
	echo "install: FAILED: $*" >&2
	exit 1
}

finish() {
	status=$?
	if [ -n "$daemon" ]; then
		kill "$daemon" 2>/dev/null || true
		wait "$daemon" 2>/dev/null || true
	fi
	if [ $status -ne 0 ] && [ -f "$work/plugd.log" ]; then
		cat "$work/plugd.log" >&2
	fi
	rm -rf "$work"
}
trap finish EXIT

same() {
	[ "$2" = "$3" ] || fail "$1: expected \"$3\", got \"$2\""
}

say "installing"
cmake --install "$build" --prefix "$work/first" >"$work/install.log" || {
	cat "$work/install.log"
	fail "cmake --install"
}
if [ "$kind" = shared ]; then
	rm -r "$work/first/lib/cmake" "$work/first/lib/pkgconfig" "$work/first/include" "$work/first/lib"/*.a
	cmake -S "$source_dir" -B "$work/shared" -DBUILD_SHARED_LIBS=ON -DBUILD_TESTING=OFF \
		-DCMAKE_C_COMPILER="$cc" -DCMAKE_INSTALL_LIBDIR=lib >"$work/configure.log" || {
		cat "$work/configure.log"
		fail "configuring with BUILD_SHARED_LIBS"
	}
	cmake --build "$work/shared" --target plug_plugin_sdk plug_client_shared >"$work/build.log" || {
		cat "$work/build.log"
		fail "building the shared libraries"
	}
	cmake --install "$work/shared" --prefix "$work/first" --component sdk >/dev/null
fi
mv "$work/first" "$work/prefix"
prefix=$work/prefix
lib=$(dirname "$(find "$prefix" -name pkgconfig)")
export PKG_CONFIG_PATH="$lib/pkgconfig"
export LD_LIBRARY_PATH="$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"

say "every installed header compiles alone, in C and in C++"
for header in "$prefix"/include/plug/*.h; do
	name=plug/$(basename "$header")
	printf '#include <%s>\nint alone;\n' "$name" >"$work/alone.c"
	cp "$work/alone.c" "$work/alone.cc"
	"$cc" -std=c11 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only "$work/alone.c" ||
		fail "$name in C"
	"$cxx" -std=c++11 -pedantic -Wall -Wextra -Werror -I"$prefix/include" -fsyntax-only "$work/alone.cc" ||
		fail "$name in C++"
done

if [ "$kind" = shared ]; then
	say "the shared client library exports the public API only, and needs no nng"
	nm -D --defined-only "$lib/libplug_client.so" | awk '$3 !~ /^plug_(client|reply|err|tensor|arena|dtype)_/ {print $3}' >"$work/extra"
	[ ! -s "$work/extra" ] || fail "libplug_client.so exports $(cat "$work/extra")"
	if readelf -d "$lib/libplug_client.so" | grep -q libnng; then
		fail "libplug_client.so needs libnng"
	fi
fi

say "find_package(plug)"
cp -r "$here/outside" "$work/outside"
cmake -S "$work/outside" -B "$work/outside/build" -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_C_COMPILER="$cc" \
	>"$work/outside.log" || {
	cat "$work/outside.log"
	fail "configuring against the installed package"
}
cmake --build "$work/outside/build" >"$work/outside.log" || {
	cat "$work/outside.log"
	fail "building against the installed package"
}
mkdir -p "$work/plugins/shout"
cp "$work/outside/plugin.yaml" "$work/outside/build/shout-plugin" "$work/plugins/shout"

say "pkg-config"
# shellcheck disable=SC2046 # the flags are words
"$cc" $(pkg-config --cflags plug) "$work/outside/main.c" -o "$work/pc-plugin" $(pkg-config --libs plug) ||
	fail "building a plugin with pkg-config"
# shellcheck disable=SC2046
"$cc" $(pkg-config --cflags plug-client) "$work/outside/caller.c" -o "$work/pc-caller" \
	$(pkg-config --libs plug-client) || fail "building a caller with pkg-config"
if ldd "$work/pc-caller" | grep -q libnng; then
	fail "the caller needs libnng"
fi

say "the installed plugd runs both"
"$prefix/bin/plugctl" validate "$work/plugins" >/dev/null || fail "validate"
mkdir -m 700 "$work/run"
"$prefix/bin/plugd" --plugin-dir "$work/plugins" --runtime-dir "$work/run" --state-dir "$work/state" \
	2>"$work/plugd.log" &
daemon=$!
export PLUGD_SOCKET="$work/run/plugd.sock"
tries=0
until [ -S "$PLUGD_SOCKET" ]; do
	tries=$((tries + 1))
	[ $tries -lt 200 ] || fail "plugd did not start"
	kill -0 "$daemon" || fail "plugd ended"
	sleep 0.05
done
same "CMake's caller, CMake's plugin" "$("$work/outside/build/call-shout" 'well done')" "WELL DONE"
same "pkg-config's caller" "$("$work/pc-caller" again)" "AGAIN"
same "plugctl" "$("$prefix/bin/plugctl" call shout shout -c text/plain third)" "THIRD"
"$prefix/bin/plugctl" stop shout >/dev/null
cp "$work/pc-plugin" "$work/plugins/shout/shout-plugin"
"$prefix/bin/plugctl" start shout >/dev/null || fail "pkg-config's plugin does not start"
same "pkg-config's plugin" "$("$work/pc-caller" fourth)" "FOURTH"
"$prefix/bin/plugctl" shutdown >/dev/null || fail "shutdown"
wait "$daemon" || fail "plugd ended with status $?"
daemon=

say "the installed manual pages and completions are whole"
if command -v groff >/dev/null; then
	for page in "$prefix"/share/man/man*/*; do
		warnings=$(preconv -e utf-8 "$page" | groff -man -Tutf8 -ww -z 2>&1) || fail "$page: $warnings"
		same "$page" "$warnings" ""
	done
fi
bash -n "$prefix/share/bash-completion/completions/plugctl" || fail "bash completion"
say "done"
