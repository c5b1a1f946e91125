/* Making an instance, and taking it apart. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/log.h"
#include "os/random.h"
#include "os/spawn.h"
#include "plugin/host.h"
#include "plugin/instance_private.h"
#include "plugin/plugin.h"

#define VITALS_TARGET 3 /* descriptor numbers in the child */
#define BROKER_TARGET 4
#define SCRIPT_TARGET 5
#define SCRIPT_PATH   "/dev/fd/5"
#define KEEPER_TARGET 6
#define FDS_MAX       4
#define CHILD_UMASK   022
#define ENV_OWN       11 /* PLUG_… variables */

extern char **environ;

/* ---- environment ---- */

struct environment {
	char **items;
	size_t count;
	char own[ENV_OWN][256];
	size_t own_count;
};

static void
env_set(struct environment *env, const char *name, const char *value)
{
	char *text = env->own[env->own_count++];

	snprintf(text, sizeof(env->own[0]), "%s=%s", name, value);
	env->items[env->count++] = text;
}

/* What is plugd's own business: its service manager's socket, and the identity of a plugin that
 * plugd itself may be. */
static bool
is_private(const char *item)
{
	return !strncmp(item, "PLUG_", 5) || !strncmp(item, "PLUGD_", 6) ||
	       !strncmp(item, "NOTIFY_SOCKET=", 14) || !strncmp(item, "LISTEN_", 7);
}

static bool
is_overridden(const char *item, const struct field_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		size_t length = strlen(pairs->items[i].name);

		if (!strncmp(item, pairs->items[i].name, length) && item[length] == '=')
			return true;
	}
	return false;
}

static bool
add_pairs(struct environment *env, const struct field_pairs *pairs, char **texts)
{
	for (size_t i = 0; i < pairs->count; i++) {
		if (asprintf(&texts[i], "%s=%s", pairs->items[i].name, pairs->items[i].value) < 0) {
			texts[i] = NULL;
			return false;
		}
		env->items[env->count++] = texts[i];
	}
	return true;
}

static void
add_own(struct environment *env, const struct instance *in, const char *url)
{
	char text[64], label[SLOT_LABEL_BYTES];

	env_set(env, PLUG_ENV_ADDRESS, url);
	hex_encode(text, in->token, sizeof(in->token));
	env_set(env, PLUG_ENV_TOKEN, text);
	env_set(env, PLUG_ENV_NAME, plugin_name(in->plugin));
	slot_label(in->slot, label);
	env_set(env, PLUG_ENV_INSTANCE, label);
	snprintf(text, sizeof(text), "%u", in->generation);
	env_set(env, PLUG_ENV_GENERATION, text);
	snprintf(text, sizeof(text), "%d", VITALS_TARGET);
	env_set(env, PLUG_ENV_VITALS_FD, text);
	snprintf(text, sizeof(text), "%d", BROKER_TARGET);
	env_set(env, PLUG_ENV_BROKER_FD, text);
	if (in->keeper.child_fd >= 0) {
		snprintf(text, sizeof(text), "%d", KEEPER_TARGET);
		env_set(env, PLUG_ENV_KEEPER_FD, text);
	}
	env_set(env, PLUG_ENV_SOCKET, in->plugin->host->socket_path);
	hex_encode(text, in->client_token, sizeof(in->client_token));
	env_set(env, PLUG_ENV_CLIENT_TOKEN, text);
	if (!is_overridden(PLUG_ENV_SPIN_US "=", &in->spec->manifest->run.env)) {
		snprintf(text, sizeof(text), "%" PRId64, in->spec->manifest->run.spin_us);
		env_set(env, PLUG_ENV_SPIN_US, text);
	}
}

/* ---- parts ---- */

static int
vitals_new(void)
{
	AUTO_CLOSE int fd = memfd_create("plug-vitals", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0 || ftruncate(fd, PLUG_VITALS_BYTES) < 0 ||
	    fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) < 0)
		return -1;
	return steal_fd(&fd);
}

static plug_err
open_session(struct instance *in, char *url, size_t url_size)
{
	struct host *host = in->plugin->host;
	char path[RUNDIR_PATH_BYTES];
	struct session_config config = {
		.loop = host->loop,
		.path = path,
		.generation = in->generation,
		.unacked_bytes = host->limits.unacked_bytes,
		.ops = &instance_session_ops,
		.user = in,
	};
	plug_err err = rundir_session_new(host->rundir, &in->dir);

	if (!err)
		err = rundir_session_path(host->rundir, &in->dir, "n", path, sizeof(path));
	if (err)
		return err;
	snprintf(url, url_size, "ipc://%s", path);
	memcpy(config.token, in->token, sizeof(config.token));
	return session_open(&config, &in->session);
}

/* See version.h. */
static void
choose_program(const struct version *version, struct spawn_request *request, struct spawn_fd *fds)
{
	request->path = version->spec->program;
	if (version->program_fd < 0)
		return;
	if (!version->is_script) {
		request->exec_fd = version->program_fd;
	} else if (!version_is_on_disk(version)) {
		fds[request->fd_count++] = (struct spawn_fd){version->program_fd, SCRIPT_TARGET};
		request->path = SCRIPT_PATH;
	}
}

/* The program is checked by the descriptor that is executed. */
static struct spawn_check *
make_checks(const struct version *version, struct spawn_request *request)
{
	size_t count;
	const struct spec_pin *pins = spec_pins(version->spec, &count);
	struct spawn_check *checks = calloc(count + 1, sizeof(*checks));
	bool same;

	for (size_t i = 0; checks && i < count; i++) {
		same = !strcmp(pins[i].path, version->spec->program);
		checks[i] = (struct spawn_check){.path = pins[i].path,
						 .fd = same ? version->program_fd : -1,
						 .digest = pins[i].digest};
	}
	request->checks = checks;
	request->check_count = count;
	return checks;
}

static plug_err
spawn(struct instance *in, const char *url, int stdout_fd, int stderr_fd)
{
	const struct spec *spec = in->spec;
	const struct field_pairs *pairs = &spec->manifest->run.env;
	struct host *host = in->plugin->host;
	struct environment env = {0};
	struct spawn_fd fds[FDS_MAX] = {{in->vitals_fd, VITALS_TARGET},
					{in->broker.child_fd, BROKER_TARGET}};
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct spawned spawned;
	AUTO_FREE char **texts = calloc(pairs->count + 1, sizeof(char *));
	AUTO_FREE struct spawn_check *checks = make_checks(in->version, &request);
	size_t inherited = 0;
	plug_err err;

	while (environ[inherited])
		inherited++;
	env.items = calloc(inherited + pairs->count + ENV_OWN + 1, sizeof(char *));
	if (!texts || !env.items || !checks || !add_pairs(&env, pairs, texts)) {
		err = PLUG_ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < inherited; i++)
		if (!is_private(environ[i]) && !is_overridden(environ[i], pairs) &&
		    confine_inherits(spec, environ[i]))
			env.items[env.count++] = environ[i];
	add_own(&env, in, url);

	request.argv = (char *const *)spec->argv;
	request.envp = env.items;
	request.cwd = spec->folder;
	request.stdout_fd = stdout_fd;
	request.stderr_fd = stderr_fd;
	request.fds = fds;
	request.fd_count = 2;
	if (in->keeper.child_fd >= 0)
		fds[request.fd_count++] = (struct spawn_fd){in->keeper.child_fd, KEEPER_TARGET};
	choose_program(in->version, &request, fds);
	request.cgroup_fd = in->cgroup.fd;
	request.umask = CHILD_UMASK;
	request.nofile_soft = host->nofile_soft;
	request.sandbox = &in->confine.sandbox;
	err = spawn_process(&request, &spawned);
	broker_close_child(&in->broker);
	keeper_close_child(&in->keeper);
	if (!err) {
		in->pid = spawned.pid;
		in->pidfd = spawned.pidfd;
		in->error_fd = spawned.error_fd;
	}
out:
	for (size_t i = 0; texts && i < pairs->count; i++)
		free(texts[i]);
	free(env.items);
	return err;
}

/* ---- start ---- */

struct instance *
instance_alloc(struct slot *slot, struct version *version)
{
	struct instance *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->plugin = slot->plugin;
	in->slot = slot;
	in->version = version_ref(version);
	in->spec = version->spec;
	list_append(&slot->plugin->instances, &in->node);
	in->state = PS_STARTING;
	in->pidfd = in->error_fd = in->vitals_fd = -1;
	in->out.fd = in->err.fd = -1;
	in->cgroup = (struct cgroup_group)CGROUP_GROUP_INIT;
	in->confine = (struct confine)CONFINE_INIT;
	list_init(&in->calls);
	list_init(&in->channels);
	broker_init(&in->broker, 0, &instance_broker_ops, in);
	keeper_init(&in->keeper, slot->plugin->host->loop, instance_on_keeper_end, in);
	instance_init_watchers(in);
	return in;
}

static struct instance *
instance_new(struct slot *slot, struct version *version)
{
	struct instance *in = instance_alloc(slot, version);

	if (in)
		in->generation = in->broker.generation = slot->last_generation =
			++slot->plugin->last_generation;
	return in;
}

struct unmet {
	char *why;
	size_t size;
};

static void
on_unmet(void *context, const struct manifest_package *package, const char *text)
{
	struct unmet *unmet = context;

	(void)package;
	if (!*unmet->why) /* the first; each is told when it is discovered */
		snprintf(unmet->why, unmet->size, "cannot be started: requires.packages: %s", text);
}

/* They were there when it was discovered; an environment may change. */
static bool
packages_are_there(const struct spec *spec, char *why, size_t why_size)
{
	struct packages_look look = spec_packages(spec);
	struct unmet unmet = {why, why_size};

	*why = '\0';
	return packages_check(&look, on_unmet, &unmet);
}

/* A process of another user has to reach its session and plugd.sock. */
static plug_err
admit_user(struct instance *in)
{
	const struct rundir *rundir = in->plugin->host->rundir;
	plug_err err = rundir_admit_users(rundir);

	return err ? err : rundir_session_give(rundir, &in->dir, in->confine.sandbox.uid);
}

/* Who calls may be answered by another process. */
static bool
has_others(const struct slot *slot)
{
	LIST_FOREACH (other, &slot->plugin->slots, struct slot, node)
		if (other != slot)
			return true;
	return false;
}

static plug_err
build(struct instance *in, char *url, size_t url_size, int *ret_out, int *ret_err,
      const char **ret_step, struct reason *why)
{
	struct host *host = in->plugin->host;
	char group[80];
	plug_err err;

	*ret_step = "random token";
	err = random_bytes(in->token, sizeof(in->token));
	if (!err)
		err = random_bytes(in->client_token, sizeof(in->client_token));
	if (err)
		return err;
	*ret_step = "vitals page";
	in->vitals_fd = vitals_new();
	if (in->vitals_fd < 0)
		return PLUG_ESYS;
	*ret_step = "broker socket";
	err = broker_open(&in->broker, host->loop);
	if (err)
		return err;
	*ret_step = "keeper";
	if (has_others(in->slot) && keeper_open(&in->keeper))
		return PLUG_ESYS;
	*ret_step = "log pipe";
	err = output_pipe_open(&in->out, &in->plugin->output, OUTPUT_OUT, ret_out);
	if (!err)
		err = output_pipe_open(&in->err, &in->plugin->output, OUTPUT_ERR, ret_err);
	if (err)
		return err;
	*ret_step = "session";
	err = open_session(in, url, url_size);
	if (err)
		return err;
	snprintf(group, sizeof(group), "%s.%u", plugin_name(in->plugin), in->generation);
	cgroup_group_open(host->cgroup, group,
			  &in->cgroup); /* without one it is started all the same */
	*ret_step = "limits and sandbox";
	err = confine_prepare(in->spec, &in->cgroup, &in->confine, why);
	if (!err && in->confine.sandbox.set_user)
		err = admit_user(in);
	if (err)
		return err;
	*ret_step = "spawn";
	return spawn(in, url, *ret_out, *ret_err);
}

plug_err
instance_start(struct slot *slot, struct version *version, char *why, size_t why_size,
	       struct instance **ret)
{
	struct instance *in = instance_new(slot, version);
	AUTO_CLOSE int out = -1, err_fd = -1;
	char url[RUNDIR_PATH_BYTES + 8];
	struct reason reason = {""};
	const char *step = "memory";
	plug_err err;

	if (!in) {
		snprintf(why, why_size, "cannot be started: out of memory");
		return PLUG_ENOMEM;
	}
	in->spawned_ms = clock_mono_ms();
	if (!packages_are_there(in->spec, why, why_size)) {
		instance_free(in);
		return PLUG_EINVAL;
	}
	err = build(in, url, sizeof(url), &out, &err_fd, &step, &reason);
	if (err) {
		snprintf(why, why_size, "cannot be started: %s: %s", step,
			 *reason.text       ? reason.text
			 : err == PLUG_ESYS ? strerror(errno)
					    : plug_err_text(err));
		instance_free(in);
		return err;
	}
	output_pipe_start(&in->out, in->generation, in->pid);
	output_pipe_start(&in->err, in->generation, in->pid);
	instance_watch(in);
	events_add(&in->plugin->host->events, plugin_name(in->plugin), "started", in->generation,
		   in->pid, "%s%s%s", in->spec->program, *in->confine.text ? "; " : "",
		   in->confine.text);
	if (in->confine.incomplete)
		log_line(LOG_WARN, plugin_name(in->plugin), in->pid,
			 "started with less than its manifest asks for: %s; delegate the "
			 "controllers to plugd's cgroup, or leave the limits out",
			 in->confine.text);
	*ret = in;
	return PLUG_OK;
}

/* ---- freeing ---- */

void
instance_free(struct instance *in)
{
	struct host *host = in->plugin->host;

	ev_io_stop(host->loop, &in->exit_w);
	ev_timer_stop(host->loop, &in->deadline_w);
	ev_timer_stop(host->loop, &in->resume_w);
	ev_timer_stop(host->loop, &in->drain_w);
	ev_timer_stop(host->loop, &in->dying_w);
	ev_timer_stop(host->loop, &in->exit_w_grace);
	ev_timer_stop(host->loop, &in->probe_w);
	session_close(in->session);
	broker_fini(&in->broker);
	keeper_fini(&in->keeper);
	rundir_session_remove(host->rundir, &in->dir);
	output_pipe_close(&in->out);
	output_pipe_close(&in->err);
	if (in->cgroup.fd >= 0 && cgroup_group_remove(host->cgroup, &in->cgroup))
		cgroup_group_close(&in->cgroup); /* its processes are ending; removed with the
						    daemon's group */
	if (in->unreaped)
		graves_add(&host->graves, in->pid, steal_fd(&in->pidfd), in->token);
	close_fd(&in->pidfd);
	close_fd(&in->error_fd);
	close_fd(&in->vitals_fd);
	confine_fini(&in->confine);
	for (size_t i = 0; i < in->method_count; i++) {
		free(in->methods[i].name);
		free(in->methods[i].description);
	}
	free(in->methods);
	free(in->last_calls);
	free(in->last_vitals);
	free(in->trace);
	version_unref(in->version);
	list_remove(&in->node);
	free(in);
}
