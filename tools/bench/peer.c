#include "peer.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define START_MS 300 /* for a peer's program to start its other side; it measures from 1 s on */

bool
peer_find(const char *name, char *path, size_t size)
{
	const char *dirs = getenv("PATH");
	char *copy = strdup(dirs ? dirs : "/usr/bin"), *save = NULL;
	bool found = false;

	for (char *dir = strtok_r(copy, ":", &save); dir && !found;
	     dir = strtok_r(NULL, ":", &save)) {
		snprintf(path, size, "%s/%s", dir, name);
		found = access(path, X_OK) == 0;
	}
	free(copy);
	return found;
}

static double
figure(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	return at ? strtod(at + strlen(name), NULL) : NAN;
}

static void
part(const struct bench *bench, pid_t pid)
{
	cpu_set_t ours = process_caller_cpus(bench), theirs = process_other_cpus(bench);
	pid_t child = process_child(pid);

	if (child <= 0)
		return;
	process_pin(child, &theirs);
	process_pin(pid, &ours);
}

struct percentiles
peer_run(const struct bench *bench, char *const *argv, bool parted)
{
	cpu_set_t cpus = process_cpus(bench, -1);
	struct process_request request = {.argv = argv, .stderr_fd = -1, .cpus = &cpus};
	struct percentiles found = PERCENTILES_NONE;
	char line[256] = "";
	ssize_t size;
	int ends[2];
	pid_t pid;

	if (pipe(ends) < 0)
		bench_die("no pipe");
	request.stdout_fd = ends[1];
	pid = process_start(&request);
	close(ends[1]);
	if (parted && poll(NULL, 0, START_MS) == 0)
		part(bench, pid);
	size = read(ends[0], line, sizeof(line) - 1);
	close(ends[0]);
	found.p50 = figure(line, "p50=");
	found.p99 = figure(line, "p99=");
	if (process_wait(pid, NULL) || size <= 0 || isnan(found.p50))
		bench_die("%s failed", argv[0]);
	return found;
}
