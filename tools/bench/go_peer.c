#include <stdio.h>
#include <stdlib.h>

#include "peer.h"

bool
go_peer_build(const struct bench *bench, struct go_peer *ret, char why[PEER_WHY_BYTES])
{
	char go[PATH_MAX], source[PATH_MAX], cache[PATH_MAX];
	char *argv[] = {go, (char *)"build", (char *)"-o", ret->program, (char *)".", NULL};
	char *env[] = {(char *)"GO111MODULE=off", (char *)"GOPATH=/usr/share/gocode", cache, NULL};
	struct process_request request = {
		.argv = argv, .extra_env = env, .cwd = source, .stdout_fd = -1, .stderr_fd = -1};

	ret->bench = bench;
	if (!bench->peers_dir) {
		snprintf(why, PEER_WHY_BYTES, "go-plugin: not measured, --peers DIR is not given");
		return false;
	}
	if (!peer_find("go", go, sizeof(go))) {
		snprintf(why, PEER_WHY_BYTES, "go-plugin: not measured, there is no go");
		return false;
	}
	bench_path(source, sizeof(source), "%s/goplugin", bench->peers_dir);
	bench_path(ret->program, sizeof(ret->program), "%s/go-peer", bench->work_dir);
	if (getenv("GOCACHE") || getenv("XDG_CACHE_HOME") || getenv("HOME"))
		env[2] = NULL; /* go has a cache of its own */
	else
		bench_path(cache, sizeof(cache), "GOCACHE=%s/go-cache", bench->work_dir);
	bench_progress("building the go-plugin peer");
	if (process_wait(process_start(&request), NULL) == 0)
		return true;
	snprintf(why, PEER_WHY_BYTES,
		 "go-plugin: not measured, %.200s does not build "
		 "(golang-github-hashicorp-go-plugin-dev, "
		 "golang-google-grpc-dev, golang-goprotobuf-dev)",
		 source);
	return false;
}

struct percentiles
go_peer_restart(const struct go_peer *peer, size_t count)
{
	char number[16];
	char *argv[] = {(char *)peer->program, (char *)"restart", number, NULL};

	snprintf(number, sizeof(number), "%zu", count);
	return peer_run(peer->bench, argv, false);
}

struct percentiles
go_peer_call(const struct go_peer *peer, size_t size, size_t count)
{
	char bytes[16], number[16];
	char *argv[] = {(char *)peer->program, (char *)"rtt", bytes, number, NULL};

	snprintf(bytes, sizeof(bytes), "%zu", size);
	snprintf(number, sizeof(number), "%zu", count);
	return peer_run(peer->bench, argv, false);
}
