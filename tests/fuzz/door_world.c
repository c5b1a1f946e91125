#include "door_world.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "channel.h"
#include "fuzz.h"
#include "os/statedir.h"
#include "serve/answer.h"

#define TURNS   6
#define HANG_MS 60000

struct world world;
void (*world_around_turn)(bool begins);

static char root[40], runtime[64], state[64], plugins[64];
static const struct guardian guardian = {.pid = 1, .fd = -1};
static struct options options;
static bool made, stopped;

/* ---- files ---- */

static void
write_manifest(const char *name, const char *text)
{
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", plugins, name);
	CHECK(mkdir(path, 0700) == 0);
	strcat(path, "/plugin.yaml");
	file = fopen(path, "w");
	CHECK(file && fputs(text, file) >= 0 && fclose(file) == 0);
}

static void
make_files(void)
{
	/* in memory where that can be: what is written is synced, and a disk may take its time */
	snprintf(root, sizeof(root), "%s/fuzz-door-XXXXXX",
		 access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
	CHECK(mkdtemp(root));
	snprintf(runtime, sizeof(runtime), "%s/r", root);
	snprintf(state, sizeof(state), "%s/s", root);
	snprintf(plugins, sizeof(plugins), "%s/p", root);
	CHECK(mkdir(plugins, 0700) == 0);
	write_manifest("live", "plugin: live\nversion: 1.0.0\ntype: interface\n"
			       "exec: [sleep, \"86400\"]\ndescription: d\ntags: [t]\n"
			       "config: { size: { type: int, default: 3 }, key: { type: string, "
			       "secret: true } }\n"
			       "methods: { echo: { idempotent: true, timeout: 1h }, stream: { "
			       "stream: true, timeout: 1h } }\n"
			       "run: { restart: never, stop_timeout: 20ms, start_timeout: 1h }\n");
	write_manifest("still", "plugin: still\nversion: 1.0.0\ntype: interface\n"
				"exec: [\"false\"]\nrun: { autostart: false, restart: never }\n");
	write_manifest("wrong", "plugin: wrong\n");
}

static void __attribute__((destructor)) remove_files(void)
{
	char command[80];

	if (!*root)
		return;
	if (made)
		LIST_FOREACH (plugin, &world.daemon.registry.plugins, struct plugin, node)
			LIST_FOREACH (in, &plugin->instances, struct instance, node)
				kill(in->pid, SIGKILL);
	snprintf(command, sizeof(command), "rm -rf %s", root);
	if (system(command))
		perror(command);
}

/* ---- making ---- */

static void
make_region(void)
{
	world.region_fd = memfd_create("fuzz", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	CHECK(world.region_fd >= 0);
	CHECK(posix_fallocate(world.region_fd, 0, PLUG_REGION_BYTES_MIN) == 0);
	CHECK(fcntl(world.region_fd, F_ADD_SEALS,
		    F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0);
}

/* As start() of daemon.c, without signals, guardian and cgroup. */
static void
make(void)
{
	struct daemon *d = &world.daemon;
	struct reason why = {""};
	pid_t holder;

	*d = (struct daemon){.options = &options, .guardian = &guardian};
	options = (struct options){
		.plugin_dirs = {plugins}, .plugin_dir_count = 1, .log_level = "error"};
	d->settings = settings_default();
	d->rundir = (struct rundir)RUNDIR_INIT;
	d->cgroup.fd = -1;
	d->loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK);
	CHECK(d->settings && d->loop);
	d->host.loop = d->loop;
	d->host.rundir = &d->rundir;
	d->host.cgroup = &d->cgroup;
	d->host.log_dir_fd = -1;
	d->host.nofile_soft = 1024;
	d->host.ops = &daemon_host_ops;
	d->host.ops_user = d;
	CHECK(rundir_open(runtime, &d->rundir, &holder, &why) == PLUG_OK);
	CHECK(statedir_open(state, &d->host.state_fd, &why) == PLUG_OK);
	statedir_remove(d->host.state_fd, "scale.live");
	statedir_remove(d->host.state_fd, "scale.still");
	statedir_remove(d->host.state_fd, "enable.live");
	statedir_remove(d->host.state_fd, "enable.still");
	CHECK(rundir_path(&d->rundir, "d", d->host.socket_path, sizeof(d->host.socket_path)) ==
	      PLUG_OK);
	events_init(&d->host.events);
	graves_init(&d->host.graves, d->loop);
	vigil_init(&d->host.vigil, d->loop);
	lull_init(&d->host.lull, d->loop);
	daemon_watch_init(d);
	daemon_discover_init(d);
	registry_init(&d->registry, &d->host);
	router_init(&d->router, &d->host, &d->registry);
	channels_init(&d->channels, &d->host, &d->registry);
	d->control.host = &d->host;
	d->control.registry = &d->registry;
	d->control.router = &d->router;
}

static void
all_stopped(void *user)
{
	(void)user;
	stopped = true;
}

static void
shut_down(void *user)
{
	struct daemon *d = user;

	if (!d->host.shutting_down)
		registry_shutdown(&d->registry, all_stopped, NULL);
}

/* It would replace this program. */
static void
refuse_upgrade(void *user, struct client *client, uint64_t id, const char *binary)
{
	(void)user;
	(void)binary;
	answer_request(client, id, PLUG_ESTATE, "not while it is fuzzed");
}

/* They would search this machine. */
static plug_err
refuse_dirs(void *user, const Plug__DirsRequest *request, struct reason *why)
{
	(void)user;
	(void)request;
	return reason_set(why, PLUG_ESTATE, "not while it is fuzzed");
}

static struct plugin *
refuse_load(void *user, const char *path, plug_err *ret_err, struct reason *why)
{
	(void)user;
	(void)path;
	*ret_err = reason_set(why, PLUG_ESTATE, "not while it is fuzzed");
	return NULL;
}

static void
open_door(void)
{
	struct daemon *d = &world.daemon;
	struct doorman_config config = {
		.loop = d->loop,
		.path = d->host.socket_path,
		.limits = daemon_door_limits(d->settings),
		.ops = &daemon_doorman_ops,
		.user = d,
	};

	d->control.daemon = (struct control_daemon){.reread = daemon_reread,
						    .shutdown = shut_down,
						    .describe = daemon_describe,
						    .respec = daemon_respec,
						    .reread_plugin = daemon_reread_plugin,
						    .models = daemon_models,
						    .upgrade = refuse_upgrade,
						    .place = daemon_place,
						    .list_dirs = daemon_list_dirs,
						    .change_dirs = refuse_dirs,
						    .load = refuse_load,
						    .unload = daemon_unload,
						    .user = d};
	daemon_apply_limits(d);
	daemon_apply_log(d);
	config_dirs(d->options, d->settings, &d->dirs);
	CHECK(doorman_open(&config, &d->doorman) == PLUG_OK);
	CHECK(daemon_discover(d) == PLUG_OK);
	CHECK(d->registry.count == 2);
	daemon_watch_sync(d);
}

/* ---- taking apart ---- */

static void
kill_processes(void)
{
	LIST_FOREACH (plugin, &world.daemon.registry.plugins, struct plugin, node)
		LIST_FOREACH (in, &plugin->instances, struct instance, node)
			if (in->pid > 0 && !in->exited)
				kill(in->pid, SIGKILL);
}

/* For whoever has to find out what is left. */
static void
list_descriptors(void)
{
	char path[32], target[128];

	for (int fd = 0; fd < 256; fd++) {
		ssize_t size;

		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		size = readlink(path, target, sizeof(target) - 1);
		if (size > 0)
			fprintf(stderr, "%d: %.*s\n", fd, (int)size, target);
	}
}

void
world_wait(uint64_t since_ms, const char *what)
{
	if (clock_mono_ms() - since_ms >= HANG_MS) {
		fprintf(stderr, "waited %d s for %s\n", HANG_MS / 1000, what);
		fprintf(stderr, "descriptor %d is free, it was %d; open are:\n",
			peer_free_descriptor(), world.before);
		list_descriptors();
		abort();
	}
	usleep(200);
}

/* In order, as far as plugd decides: what it waits for is done at once. */
static void
take_apart(void)
{
	struct daemon *d = &world.daemon;
	uint64_t since_ms = clock_mono_ms();

	plugin_leave();
	shut_down(d);
	while (!stopped) {
		kill_processes();
		ev_run(d->loop, EVRUN_NOWAIT);
		world_wait(since_ms, "all to be stopped");
	}
	doorman_close(d->doorman);
	daemon_watch_fini(d);
	daemon_discover_fini(d);
	registry_fini(&d->registry);
	graves_fini(&d->host.graves);
	router_fini(&d->router);
	channels_fini(&d->channels);
	events_fini(&d->host.events);
	rundir_close(&d->rundir);
	close(d->host.state_fd);
	ev_loop_destroy(d->loop);
	settings_free(d->settings);
	made = false;
}

/* ---- one input ---- */

void
world_turn(void)
{
	if (world_around_turn)
		world_around_turn(true);
	for (int i = 0; i < TURNS; i++)
		ev_run(world.daemon.loop, EVRUN_NOWAIT);
	if (world_around_turn)
		world_around_turn(false);
}

struct instance *
world_instance(void)
{
	struct plugin *plugin = registry_find(&world.daemon.registry, "live");
	struct instance *in = plugin ? plugin_main_instance(plugin) : NULL;

	return in && in == world.instance && in->generation == world.generation &&
			       instance_takes_calls(in) && session_connected(in->session)
		       ? in
		       : NULL;
}

void
world_begin(void)
{
	if (!*root) {
		make_files();
		make_region();
	}
	if (made)
		return;
	stopped = false;
	make();
	open_door();
	daemon_autostart(&world.daemon);
	plugin_come_up();
	made = true;
	world.before = peer_free_descriptor();
}

/* As it was, so that the next input finds the same: one process of one plugin, and no spec read
 * anew. */
static bool
is_at_rest(void)
{
	struct plugin *plugin = registry_find(&world.daemon.registry, "live");
	struct plugin *other = registry_find(&world.daemon.registry, "still");
	struct instance *in = world_instance();

	return in && plugin->instances.next->next == &plugin->instances && !plugin->scale &&
	       plugin->enabled == ENABLED_UNSAID && in->hang.kind == HANG_WELL &&
	       !in->broker.old_count && /* pages of when it was away */
	       plugin_is_settled(plugin) && !plugin->rollout && other &&
	       plugin_all(other, SLOT_IN(STOPPED)) && !other->scale && !other->last_generation &&
	       other->enabled == ENABLED_UNSAID && !world.daemon.host.shutting_down;
}

/* A sanitizer that looks for leaks has some of its own for a moment. */
static void
check_descriptors(void)
{
	for (uint64_t since_ms = clock_mono_ms(); peer_free_descriptor() > world.before;)
		world_wait(since_ms, "descriptors to be closed"); /* for ever: one is left */
}

void
world_end(void)
{
	struct daemon *d = &world.daemon;
	uint64_t since_ms = clock_mono_ms();

	for (int i = 0; doorman_client_count(d->doorman) || d->router.by_id.count ||
			d->channels.by_number.count;
	     i++) {
		if (!world_instance())
			break;
		/* a child that has not executed yet has copies of our sockets; else something is
		 * left of a client that is gone */
		if (i > TURNS)
			world_wait(since_ms, "what is left of clients");
		world_turn();
		plugin_listen();
		plugin_answer_all();
	}
	if (!is_at_rest()) {
		take_apart();
		return;
	}
	CHECK(d->router.held_bytes == 0);
	check_descriptors();
}
