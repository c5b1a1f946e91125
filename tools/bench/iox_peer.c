#include <dirent.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define HEADERS    "/usr/include/iceoryx"
#define START_MS   2000 /* for its daemon to make its memory */

#define NAMES_MAX  8
#define NAME_BYTES 96

/* Its headers are in a folder named after its version. */
static bool
find_headers(char *option, size_t size)
{
	DIR *dir = opendir(HEADERS);
	struct dirent *entry;
	bool found = false;

	while (dir && !found && (entry = readdir(dir)))
		if (entry->d_name[0] == 'v') {
			snprintf(option, size, "-I%s/%s", HEADERS, entry->d_name);
			found = true;
		}
	if (dir)
		closedir(dir);
	return found;
}

static bool
build(const struct bench *bench, struct iox_peer *peer)
{
	char cc[PATH_MAX], source[PATH_MAX], headers[PATH_MAX];
	char *argv[] = {cc,
			(char *)"-O2",
			headers,
			source,
			(char *)"-o",
			peer->program,
			(char *)"-liceoryx_binding_c",
			NULL};
	struct process_request request = {.argv = argv, .stdout_fd = -1, .stderr_fd = -1};

	bench_path(source, sizeof(source), "%s/iceoryx_rtt.c", bench->peers_dir);
	bench_path(peer->program, sizeof(peer->program), "%s/iox-peer", bench->work_dir);
	return peer_find("cc", cc, sizeof(cc)) && find_headers(headers, sizeof(headers)) &&
	       process_wait(process_start(&request), NULL) == 0;
}

bool
iox_peer_open(const struct bench *bench, struct iox_peer *ret, char why[PEER_WHY_BYTES])
{
	char roudi[PATH_MAX];
	char *argv[] = {roudi, (char *)"-m", (char *)"off", NULL};
	struct process_request request = {.argv = argv, .stdout_fd = -1, .stderr_fd = -1};

	*ret = (struct iox_peer){.bench = bench};
	if (!bench->peers_dir) {
		snprintf(why, PEER_WHY_BYTES, "iceoryx: not measured, --peers DIR is not given");
		return false;
	}
	if (!peer_find("iox-roudi", roudi, sizeof(roudi)) || !build(bench, ret)) {
		snprintf(
			why, PEER_WHY_BYTES,
			"iceoryx: not measured, %.200s/iceoryx_rtt.c does not build or there is no "
			"iox-roudi (iceoryx, libiceoryx-binding-c-dev)",
			bench->peers_dir);
		return false;
	}
	ret->roudi = process_start(&request);
	poll(NULL, 0, START_MS);
	return true;
}

/* What it has mapped of /dev/shm: it leaves that behind when one of its clients was killed, as the
 * peer's program kills its server. */
static size_t
shared_names(pid_t pid, char names[NAMES_MAX][NAME_BYTES])
{
	char path[64], line[512];
	size_t count = 0;
	FILE *maps;

	snprintf(path, sizeof(path), "/proc/%d/maps", (int)pid);
	maps = fopen(path, "re");
	while (maps && count < NAMES_MAX && fgets(line, sizeof(line), maps)) {
		const char *name = strstr(line, " /dev/shm/");

		if (name && sscanf(name, " %95s", names[count]) == 1)
			count++;
	}
	if (maps)
		fclose(maps);
	return count;
}

void
iox_peer_close(struct iox_peer *peer)
{
	char names[NAMES_MAX][NAME_BYTES];
	size_t count;

	if (peer->roudi <= 0)
		return;
	count = shared_names(peer->roudi, names);
	kill(peer->roudi, SIGTERM);
	process_wait(peer->roudi, NULL);
	for (size_t i = 0; i < count; i++)
		unlink(names[i]);
	peer->roudi = 0;
}

struct percentiles
iox_peer_call(const struct iox_peer *peer, size_t size, size_t count)
{
	char bytes[16], number[16];
	char *argv[] = {(char *)peer->program, bytes, number, NULL};

	snprintf(bytes, sizeof(bytes), "%zu", size);
	snprintf(number, sizeof(number), "%zu", count);
	return peer_run(peer->bench, argv, true);
}
