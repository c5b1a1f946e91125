/* Making an instance, and taking it apart. */
#include <errno.h>
#include <fcntl.h>
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

#define VITALS_TARGET 3 /* descriptor number in the child */
#define CHILD_UMASK   022
#define ENV_OWN       8 /* PLUG_… variables */

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
	char text[64];

	env_set(env, PLUG_ENV_ADDRESS, url);
	hex_encode(text, in->token, sizeof(in->token));
	env_set(env, PLUG_ENV_TOKEN, text);
	env_set(env, PLUG_ENV_NAME, plugin_name(in->plugin));
	env_set(env, PLUG_ENV_INSTANCE, plugin_name(in->plugin));
	snprintf(text, sizeof(text), "%u", in->generation);
	env_set(env, PLUG_ENV_GENERATION, text);
	snprintf(text, sizeof(text), "%d", VITALS_TARGET);
	env_set(env, PLUG_ENV_VITALS_FD, text);
	env_set(env, PLUG_ENV_SOCKET, in->plugin->host->socket_path);
	hex_encode(text, in->client_token, sizeof(in->client_token));
	env_set(env, PLUG_ENV_CLIENT_TOKEN, text);
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

static plug_err
spawn(struct instance *in, const char *url, int stdout_fd, int stderr_fd)
{
	const struct spec *spec = in->plugin->spec;
	const struct field_pairs *pairs = &spec->manifest->run.env;
	struct host *host = in->plugin->host;
	struct environment env = {0};
	struct spawn_fd vitals = {in->vitals_fd, VITALS_TARGET};
	struct spawn_request request = SPAWN_REQUEST_INIT;
	struct spawned spawned;
	AUTO_FREE char **texts = calloc(pairs->count + 1, sizeof(char *));
	size_t inherited = 0;
	plug_err err;

	while (environ[inherited])
		inherited++;
	env.items = calloc(inherited + pairs->count + ENV_OWN + 1, sizeof(char *));
	if (!texts || !env.items || !add_pairs(&env, pairs, texts)) {
		err = PLUG_ENOMEM;
		goto out;
	}
	for (size_t i = 0; i < inherited; i++)
		if (!is_private(environ[i]) && !is_overridden(environ[i], pairs))
			env.items[env.count++] = environ[i];
	add_own(&env, in, url);

	request.path = spec->program;
	request.argv = (char *const *)spec->argv;
	request.envp = env.items;
	request.cwd = spec->folder;
	request.stdout_fd = stdout_fd;
	request.stderr_fd = stderr_fd;
	request.fds = &vitals;
	request.fd_count = 1;
	request.cgroup_fd = in->cgroup.fd;
	request.umask = CHILD_UMASK;
	request.nofile_soft = host->nofile_soft;
	err = spawn_process(&request, &spawned);
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

static struct instance *
instance_new(struct plugin *plugin)
{
	struct instance *in = calloc(1, sizeof(*in));

	if (!in)
		return NULL;
	in->plugin = plugin;
	in->generation = ++plugin->last_generation;
	in->state = PS_STARTING;
	in->pidfd = in->error_fd = in->vitals_fd = -1;
	in->out.fd = in->err.fd = -1;
	in->cgroup = (struct cgroup_group)CGROUP_GROUP_INIT;
	list_init(&in->calls);
	instance_init_watchers(in);
	return in;
}

static plug_err
build(struct instance *in, char *url, size_t url_size, int *ret_out, int *ret_err,
      const char **ret_step)
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
	*ret_step = "spawn";
	return spawn(in, url, *ret_out, *ret_err);
}

plug_err
instance_start(struct plugin *plugin, char *why, size_t why_size, struct instance **ret)
{
	struct instance *in = instance_new(plugin);
	AUTO_CLOSE int out = -1, err_fd = -1;
	char url[RUNDIR_PATH_BYTES + 8];
	const char *step = "memory";
	plug_err err;

	if (!in) {
		snprintf(why, why_size, "cannot be started: out of memory");
		return PLUG_ENOMEM;
	}
	in->spawned_ms = clock_mono_ms();
	err = build(in, url, sizeof(url), &out, &err_fd, &step);
	if (err) {
		snprintf(why, why_size, "cannot be started: %s: %s", step,
			 err == PLUG_ESYS ? strerror(errno) : plug_err_text(err));
		instance_free(in);
		return err;
	}
	output_pipe_start(&in->out, in->generation, in->pid);
	output_pipe_start(&in->err, in->generation, in->pid);
	instance_watch(in);
	events_add(&plugin->host->events, plugin_name(plugin), "started", in->generation, in->pid,
		   "%s", plugin->spec->program);
	*ret = in;
	return PLUG_OK;
}

/* ---- end ---- */

void
instance_free(struct instance *in)
{
	struct host *host = in->plugin->host;

	ev_io_stop(host->loop, &in->exit_w);
	ev_timer_stop(host->loop, &in->deadline_w);
	ev_timer_stop(host->loop, &in->resume_w);
	ev_timer_stop(host->loop, &in->exit_w_grace);
	session_close(in->session);
	rundir_session_remove(host->rundir, &in->dir);
	output_pipe_close(&in->out);
	output_pipe_close(&in->err);
	if (in->cgroup.fd >= 0 && cgroup_group_remove(host->cgroup, &in->cgroup))
		cgroup_group_close(&in->cgroup); /* its processes are ending; removed with the
						    daemon's group */
	if (in->unreaped)
		graves_add(&host->graves, in->pid, steal_fd(&in->pidfd));
	close_fd(&in->pidfd);
	close_fd(&in->error_fd);
	close_fd(&in->vitals_fd);
	for (size_t i = 0; i < in->method_count; i++) {
		free(in->methods[i].name);
		free(in->methods[i].description);
	}
	free(in->methods);
	free(in);
}

/* A process that could not be executed says so through the spawn's own pipe. */
static void
find_exec_error(struct instance *in)
{
	char text[256];

	if (spawn_error_read(in->error_fd, text, sizeof(text)) == PLUG_OK) {
		in->declared = true;
		if (!*in->cause)
			snprintf(in->cause, sizeof(in->cause), "%s", text);
	}
}

void
instance_release(struct instance *in)
{
	struct plugin *plugin = in->plugin;

	find_exec_error(in);
	output_pipe_close(&in->out); /* before the report, which quotes the last lines */
	output_pipe_close(&in->err);
	plugin_instance_gone(plugin,
			     in); /* may start the next one: nothing here is shared with it */
	instance_free(in);
}
