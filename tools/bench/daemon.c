#include "daemon.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin.h"
#include "load_plane.h"

#define START_MS   20000
#define REQUEST_MS 60000
#define CALL_MS    30000

/* ---- start ---- */

/* plugd says READY=1 here, as to a service manager. */
static int
open_notify(const char *path)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	bench_path(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		bench_die("%s: %s", path, strerror(errno));
	return fd;
}

static bool
says_ready(int fd)
{
	struct pollfd wait = {.fd = fd, .events = POLLIN};
	char text[512];

	for (;;) {
		ssize_t size = poll(&wait, 1, START_MS) > 0 ? read(fd, text, sizeof(text) - 1) : -1;

		if (size < 0)
			return false;
		text[size] = '\0';
		if (strstr(text, "READY=1"))
			return true;
	}
}

static void
print_log(const char *path)
{
	FILE *file = fopen(path, "re");
	char line[1024];

	while (file && fgets(line, sizeof(line), file))
		fprintf(stderr, "plugd: %s", line);
	if (file)
		fclose(file);
}

static bool
on_status(const Plug__Response *response, void *user)
{
	struct daemon *daemon = user;

	if (response->body_case != PLUG__RESPONSE__BODY_DAEMON)
		return true;
	daemon->pid = (pid_t)response->daemon->pid;
	if (response->daemon->n_bad)
		bench_die("%s: %s", response->daemon->bad[0]->path,
			  response->daemon->bad[0]->n_errors ? response->daemon->bad[0]->errors[0]
							     : "a bad plugin");
	return true;
}

static void
request(struct daemon *daemon, const Plug__Request *request, plug_on_response on_response,
	void *user)
{
	if (plug_client_request(daemon->client, request, REQUEST_MS, on_response, user))
		bench_die("plugd refuses a request: %s", plug_client_error_text(daemon->client));
}

static void
ask_pid(struct daemon *daemon)
{
	Plug__Request ask = PLUG__REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;

	ask.body_case = PLUG__REQUEST__BODY_STATUS;
	ask.status = &status;
	request(daemon, &ask, on_status, daemon);
}

static FILE *
open_file(const char *path)
{
	FILE *file = fopen(path, "we");

	if (!file)
		bench_die("%s: %s", path, strerror(errno));
	return file;
}

static void
write_file(const char *path, const char *text)
{
	FILE *file = open_file(path);

	fputs(text, file);
	if (fclose(file))
		bench_die("%s: %s", path, strerror(errno));
}

static void
run(struct daemon *daemon, const char *plugin_dir, const char *root, const char *notify,
    const char *config)
{
	cpu_set_t cpus = process_caller_cpus(daemon->bench);
	char program[PATH_MAX], state[160], log[160], variable[160], path[160];
	char *argv[] = {program,      (char *)"--plugin-dir",       (char *)plugin_dir,
			(char *)"-r", daemon->runtime_dir,          (char *)"-s",
			state,        config ? (char *)"-c" : NULL, path,
			NULL};
	char *env[] = {variable, NULL};
	struct process_request start = {
		.argv = argv, .extra_env = env, .stdout_fd = -1, .cpus = &cpus};
	FILE *file;

	bench_path(program, sizeof(program), "%s/bin/plugd", daemon->bench->build_dir);
	bench_path(state, sizeof(state), "%s/state", root);
	bench_path(log, sizeof(log), "%s/log", root);
	bench_path(variable, sizeof(variable), "NOTIFY_SOCKET=%s", notify);
	bench_path(path, sizeof(path), "%s/plugd.yaml", root);
	if (config)
		write_file(path, config);
	file = open_file(log);
	start.stderr_fd = fileno(file);
	daemon->guardian = process_start(&start);
	fclose(file);
}

void
daemon_start(const struct bench *bench, const char *plugin_dir, struct daemon *ret)
{
	daemon_start_with(bench, plugin_dir, NULL, ret);
}

void
daemon_start_with(const struct bench *bench, const char *plugin_dir, const char *config,
		  struct daemon *ret)
{
	static unsigned number;
	char root[96], notify[108], log[160];
	int fd;

	*ret = (struct daemon){.bench = bench};
	snprintf(root, sizeof(root), "%s/d%u", bench->work_dir, ++number);
	bench_path(ret->runtime_dir, sizeof(ret->runtime_dir), "%s/r", root);
	bench_path(notify, sizeof(notify), "%s/n", root);
	bench_path(log, sizeof(log), "%s/log", root);
	if (bench_make_dir(root) < 0)
		bench_die("%s: %s", root, strerror(errno));
	fd = open_notify(notify);
	run(ret, plugin_dir, root, notify, config);
	if (!says_ready(fd)) {
		print_log(log);
		bench_die("plugd did not start");
	}
	close(fd);
	ret->client = daemon_client(ret);
	ask_pid(ret);
}

void
daemon_stop(struct daemon *daemon)
{
	plug_client_close(daemon->client);
	kill(daemon->guardian, SIGTERM);
	process_wait(daemon->guardian, NULL);
}

struct plug_client *
daemon_client(const struct daemon *daemon)
{
	struct plug_client *client;

	if (load_plane_open(daemon->runtime_dir, LOAD_CONTROL, -1, &client))
		bench_die("%s", plug_client_error_text(NULL));
	return client;
}

/* ---- questions ---- */

struct ready_count {
	size_t wanted, seen;
};

static bool
on_events(const Plug__Response *response, void *user)
{
	struct ready_count *count = user;

	if (response->body_case != PLUG__RESPONSE__BODY_EVENTS)
		return true;
	for (size_t i = 0; i < response->events->n_events; i++) {
		const Plug__Event *event = response->events->events[i];

		if (!strcmp(event->kind, "ready"))
			count->seen++;
		else if (!strcmp(event->kind, "failed") || !strcmp(event->kind, "crashed") ||
			 !strcmp(event->kind, "refused"))
			bench_die("%s %s: %s", event->plugin, event->kind, event->detail);
	}
	return count->seen < count->wanted;
}

void
daemon_await_ready(struct daemon *daemon, size_t wanted)
{
	Plug__Request ask = PLUG__REQUEST__INIT;
	Plug__EventsRequest events = PLUG__EVENTS_REQUEST__INIT;
	struct ready_count count = {.wanted = wanted};

	events.follow = true;
	ask.body_case = PLUG__REQUEST__BODY_EVENTS;
	ask.events = &events;
	plug_client_request(daemon->client, &ask, REQUEST_MS, on_events, &count);
	if (count.seen < wanted)
		bench_die("%zu of %zu plugins became ready: %s", count.seen, wanted,
			  plug_client_error_text(daemon->client));
}

struct pid_search {
	const char *name;
	pid_t pid;
};

static bool
on_list(const Plug__Response *response, void *user)
{
	struct pid_search *search = user;

	if (response->body_case == PLUG__RESPONSE__BODY_LIST)
		for (size_t i = 0; i < response->list->n_plugins; i++)
			if (!strcmp(response->list->plugins[i]->name, search->name))
				search->pid = (pid_t)response->list->plugins[i]->pid;
	return true;
}

pid_t
daemon_plugin_pid(struct daemon *daemon, const char *name)
{
	Plug__Request ask = PLUG__REQUEST__INIT;
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;
	struct pid_search search = {.name = name};

	ask.body_case = PLUG__REQUEST__BODY_LIST;
	ask.list = &list;
	request(daemon, &ask, on_list, &search);
	if (search.pid <= 0)
		bench_die("%s has no process", name);
	return search.pid;
}

void
daemon_pin_plugin(struct daemon *daemon, const char *name)
{
	cpu_set_t cpus = process_other_cpus(daemon->bench);

	process_pin(daemon_plugin_pid(daemon, name), &cpus);
}

void
daemon_call(struct plug_client *client, const char *plugin, const char *method, const void *payload,
	    size_t size, size_t expected)
{
	struct plug_request call = {
		.size = sizeof(call),
		.plugin = plugin,
		.method = method,
		.payload = {payload, size, "application/octet-stream"},
		.timeout_ms = CALL_MS,
	};
	struct plug_reply *reply = NULL;
	plug_err err = plug_client_call(client, &call, NULL, NULL, &reply);

	if (err)
		bench_die("%s.%s: %s: %s", plugin, method, plug_err_name(err),
			  reply ? reply->message : plug_client_error_text(client));
	if (reply->payload.size != expected)
		bench_die("%s.%s: %zu bytes came back of %zu", plugin, method, reply->payload.size,
			  expected);
	plug_reply_free(reply);
}

/* ---- plugins ---- */

static void
make_plugin(const struct bench *bench, const char *dir, const char *name, const char *run)
{
	char path[PATH_MAX];
	FILE *file;

	bench_path(path, sizeof(path), "%s/%s", dir, name);
	if (bench_make_dir(path) < 0)
		bench_die("%s: %s", path, strerror(errno));
	bench_path(path, sizeof(path), "%s/%s/plugin.yaml", dir, name);
	file = open_file(path);
	fprintf(file,
		"plugin: %s\n"
		"version: 0.1.0\n"
		"type: interface\n"
		"exec: [%s/libexec/plugbench-plugin]\n"
		"description: Echoes, for plugbench\n"
		"methods:\n"
		"  echo: { idempotent: true, timeout: 30s, description: returns what it is given "
		"}\n"
		"  pass: { idempotent: true, timeout: 30s, description: a tensor for a tensor }\n"
		"  touch: { idempotent: true, timeout: 30s, description: fills a tensor for one "
		"read "
		"}\n"
		"  fill: { timeout: 60s, description: has so many bytes resident }\n"
		"  arm: { timeout: 30s, description: hold waits from here on }\n"
		"  hold: { idempotent: true, timeout: 60s, description: answers or waits }\n"
		"  held: { timeout: 30s, description: answers once hold waits }\n"
		"  die: { timeout: 30s, description: dies by a signal }\n"
		"  flood: { timeout: 600s, description: prints so many bytes }\n"
		"run: { %s }\n",
		name, bench->build_dir, run);
	if (fclose(file))
		bench_die("%s: %s", path, strerror(errno));
}

void
daemon_make_plugins(const struct bench *bench, const char *dir, const char *stem, size_t count,
		    const char *run)
{
	char name[64];

	if (bench_make_dir(dir) < 0)
		bench_die("%s: %s", dir, strerror(errno));
	for (size_t i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "%s-%03zu", stem, i);
		make_plugin(bench, dir, name, run);
	}
}
