#include "go_peer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static bool
find_go(char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	char *copy = strdup(dirs ? dirs : "/usr/bin"), *save = NULL;
	bool found = false;

	for (char *dir = strtok_r(copy, ":", &save); dir && !found;
	     dir = strtok_r(NULL, ":", &save)) {
		snprintf(path, size, "%s/go", dir);
		found = access(path, X_OK) == 0;
	}
	free(copy);
	return found;
}

bool
go_peer_build(const struct bench *bench, struct go_peer *ret, char *why, size_t why_size)
{
	char go[PATH_MAX], source[PATH_MAX], cache[PATH_MAX];
	char *argv[] = {go, (char *)"build", (char *)"-o", ret->program, (char *)".", NULL};
	char *env[] = {(char *)"GO111MODULE=off", (char *)"GOPATH=/usr/share/gocode", cache, NULL};
	struct process_request request = {
		.argv = argv, .extra_env = env, .cwd = source, .stdout_fd = -1, .stderr_fd = -1};

	ret->bench = bench;
	if (!bench->peers_dir) {
		snprintf(why, why_size, "go-plugin: not measured, --peers DIR is not given");
		return false;
	}
	if (!find_go(go, sizeof(go))) {
		snprintf(why, why_size, "go-plugin: not measured, there is no go");
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
	snprintf(why, why_size,
		 "go-plugin: not measured, %s does not build "
		 "(golang-github-hashicorp-go-plugin-dev, "
		 "golang-google-grpc-dev, golang-goprotobuf-dev)",
		 source);
	return false;
}

/* Run the program and read the median that it prints. */
static double
run_peer(const struct go_peer *peer, char *const *argv)
{
	cpu_set_t cpus = process_cpus(peer->bench, -1);
	struct process_request request = {.argv = argv, .stderr_fd = -1, .cpus = &cpus};
	char line[256] = "";
	const char *median;
	ssize_t size;
	int ends[2];
	pid_t pid;

	if (pipe(ends) < 0)
		bench_die("no pipe");
	request.stdout_fd = ends[1];
	pid = process_start(&request);
	close(ends[1]);
	size = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	median = size > 0 ? strstr(line, "p50=") : NULL;
	if (process_wait(pid, NULL) || !median)
		bench_die("go-plugin: the peer's program failed");
	return strtod(median + 4, NULL);
}

double
go_peer_restart(const struct go_peer *peer, size_t count)
{
	char number[16];
	char *argv[] = {(char *)peer->program, (char *)"restart", number, NULL};

	snprintf(number, sizeof(number), "%zu", count);
	return run_peer(peer, argv);
}

double
go_peer_call(const struct go_peer *peer, size_t size, size_t count)
{
	char bytes[16], number[16];
	char *argv[] = {(char *)peer->program, (char *)"rtt", bytes, number, NULL};

	snprintf(bytes, sizeof(bytes), "%zu", size);
	snprintf(number, sizeof(number), "%zu", count);
	return run_peer(peer, argv);
}
