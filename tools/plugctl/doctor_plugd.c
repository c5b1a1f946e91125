/* The plugd of the runtime directory, where one runs. */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "ask.h"
#include "doctor.h"
#include "format.h"
#include "plugin_json.h"
#include "wire.h"

#define DIR_BYTES_MAX 89
#define DISK_LEAST    ((uint64_t)20 << 20)
#define NOT_RUNNING   "no plugd runs here"

static json_t *status; /* of plugd; NULL: it does not answer */
static json_t *plugins;
static char unreachable[DOCTOR_DETAIL_BYTES]; /* why not; "": it was not asked yet, or answered */

void
doctor_plugd_fini(void)
{
	json_decref(status);
	json_decref(plugins);
	status = plugins = NULL;
}

/* ---- the directory ---- */

static void
directory(const struct ctl *ctl, char ret[PATH_MAX])
{
	const char *socket = getenv("PLUGD_SOCKET"), *xdg = getenv("XDG_RUNTIME_DIR");

	if (ctl->runtime_dir)
		snprintf(ret, PATH_MAX, "%s", ctl->runtime_dir);
	else if (socket && strrchr(socket, '/'))
		snprintf(ret, PATH_MAX, "%.*s", (int)(strrchr(socket, '/') - socket), socket);
	else if (xdg && *xdg)
		snprintf(ret, PATH_MAX, "%s/plugd", xdg);
	else
		snprintf(ret, PATH_MAX, "/run/plugd");
}

static bool
parent_is_safe(const char *path)
{
	char parent[PATH_MAX];
	struct stat st;

	snprintf(parent, sizeof(parent), "%s", path);
	if (strrchr(parent, '/'))
		*strrchr(parent, '/') = '\0';
	return stat(*parent ? parent : "/", &st) < 0 || !(st.st_mode & S_IWOTH) ||
	       (st.st_mode & S_ISVTX);
}

void
doctor_runtime_dir(struct ctl *ctl, struct doctor_finding *finding)
{
	char path[PATH_MAX];
	struct stat st;

	directory(ctl, path);
	if (strlen(path) > DIR_BYTES_MAX)
		doctor_say(finding, DOCTOR_BROKEN, "choose a shorter --runtime-dir",
			   "%.60s… has %zu bytes, sockets below it leave room for %d", path,
			   strlen(path), DIR_BYTES_MAX);
	else if (lstat(path, &st) < 0 && errno != ENOENT)
		doctor_say(finding, DOCTOR_BROKEN, "choose another --runtime-dir", "%s: %s", path,
			   strerror(errno));
	else if (lstat(path, &st) < 0)
		doctor_say(finding, DOCTOR_OK, NULL, "%s, which plugd makes when it starts", path);
	else if (!S_ISDIR(st.st_mode))
		doctor_say(finding, DOCTOR_BROKEN, "remove it, or choose another --runtime-dir",
			   "%s is no folder", path);
	else if (st.st_uid != geteuid() && geteuid() != 0)
		doctor_say(finding, DOCTOR_BROKEN, "use plugctl as that user, or as root",
			   "%s belongs to user %u", path, st.st_uid);
	else if (st.st_mode & 066)
		doctor_say(finding, DOCTOR_BROKEN, "chmod 700 it", "%s has mode %03o", path,
			   st.st_mode & 0777u);
	else if (!parent_is_safe(path))
		doctor_say(finding, DOCTOR_BROKEN, "chmod o-w the folder above it",
			   "others may put another folder in the place of %s", path);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%s", path);
}

/* ---- plugd ---- */

static bool
on_status(const Plug__Response *response, void *user)
{
	(void)user;
	if (response->outcome == PLUG_OK && response->body_case == PLUG__RESPONSE__BODY_DAEMON)
		status = daemon_status_json(response->daemon);
	return true;
}

static bool
on_list(const Plug__Response *response, void *user)
{
	(void)user;
	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_LIST)
		return true;
	for (size_t i = 0; i < response->list->n_plugins; i++)
		json_array_append_new(plugins, plugin_line_json(response->list->plugins[i]));
	return true;
}

static void
ask_plugd(struct ctl *ctl)
{
	struct plug_client_config config = {
		.size = sizeof(config), .runtime_dir = ctl->runtime_dir, .name = "plugctl"};
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest daemon = PLUG__STATUS_REQUEST__INIT;
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;

	plugins = json_array();
	if (plug_client_open(&config, &ctl->client)) {
		snprintf(unreachable, sizeof(unreachable), "%s", plug_client_error_text(NULL));
		return;
	}
	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &daemon;
	if (ctl_ask(ctl, &request, CTL_ANSWER_MS, on_status, NULL))
		snprintf(unreachable, sizeof(unreachable), "%s",
			 plug_client_error_text(ctl->client));
	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	ctl_ask(ctl, &request, CTL_ANSWER_MS, on_list, NULL);
}

/* A socket at which nobody answers is a plugd that was killed, or hangs. */
void
doctor_answers(struct ctl *ctl, struct doctor_finding *finding)
{
	char path[PATH_MAX], socket[PATH_MAX + 16];
	const char *version;

	ask_plugd(ctl);
	directory(ctl, path);
	snprintf(socket, sizeof(socket), "%s/plugd.sock", path);
	version = ask_text(status, "version");
	if (!status && access(socket, F_OK) < 0)
		doctor_say(finding, DOCTOR_OK, NULL, NOT_RUNNING);
	else if (!status)
		doctor_say(finding, DOCTOR_BROKEN, "start plugd again; it tidies up what is left",
			   "%s", unreachable);
	else if (strcmp(version, PLUG_VERSION) != 0)
		doctor_say(finding, DOCTOR_WEAK, "use the plugctl of the same build",
			   "plugd %s, plugctl " PLUG_VERSION, version);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "process %llu",
			   (unsigned long long)ask_number(status, "pid"));
}

void
doctor_containment(struct ctl *ctl, struct doctor_finding *finding)
{
	const char *text = ask_text(status, "containment");

	(void)ctl;
	if (!status)
		doctor_say(finding, DOCTOR_OK, NULL, NOT_RUNNING);
	else
		doctor_say(
			finding, strstr(text, "cgroup.kill") ? DOCTOR_OK : DOCTOR_WEAK,
			strstr(text, "cgroup.kill")
				? NULL
				: "what cgroup v2 needs is said above; docs/operating.md has the "
				  "rungs",
			"%s", text);
}

void
doctor_configuration(struct ctl *ctl, struct doctor_finding *finding)
{
	const char *error = ask_text(status, "config_error"),
		   *file = ask_text(status, "config_file");

	(void)ctl;
	if (*error)
		doctor_say(finding, DOCTOR_BROKEN, "correct it, then plugctl reread",
			   "the one read before is in force: %s", error);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%s",
			   !status ? NOT_RUNNING
			   : *file ? file
				   : "defaults, no file");
}

void
doctor_state_dir(struct ctl *ctl, struct doctor_finding *finding)
{
	const char *path = ask_text(status, "state_dir");
	unsigned long long dropped = ask_number(status, "dropped_log_lines");
	char text[FORMAT_BYTES];
	struct statvfs fs;

	(void)ctl;
	if (!status)
		doctor_say(finding, DOCTOR_OK, NULL, NOT_RUNNING);
	else if (statvfs(path, &fs) < 0)
		doctor_say(finding, DOCTOR_BROKEN, "make it and let plugd's user write to it",
			   "%s: %s; logs are not kept", path, strerror(errno));
	else if ((uint64_t)fs.f_bavail * fs.f_frsize < DISK_LEAST)
		doctor_say(finding, DOCTOR_BROKEN, "make room, or move it with --state-dir",
			   "%s: %s left", path,
			   format_size((uint64_t)fs.f_bavail * fs.f_frsize, text));
	else if (dropped)
		doctor_say(finding, DOCTOR_WEAK, "see whether plugd's stderr is read, and the disk",
			   "%s; %llu of plugd's log lines were dropped", path, dropped);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%s, %s left", path,
			   format_size((uint64_t)fs.f_bavail * fs.f_frsize, text));
}

void
doctor_plugins(struct ctl *ctl, struct doctor_finding *finding)
{
	size_t bad = json_array_size(json_object_get(status, "bad")), i;
	const json_t *line;
	char down[200] = "";

	(void)ctl;
	json_array_foreach(plugins, i, line)
	{
		const char *state = ask_text(line, "state");

		if (strcmp(state, "failed") == 0 || strcmp(state, "quarantined") == 0 ||
		    strcmp(state, "stuck") == 0)
			snprintf(down + strlen(down), sizeof(down) - strlen(down), "%s%s is %s",
				 *down ? ", " : "", ask_text(line, "name"), state);
	}
	if (bad || *down)
		doctor_say(finding, DOCTOR_BROKEN,
			   "plugctl list names manifests that are wrong, plugctl status NAME says "
			   "why one is down",
			   "%zu cannot be used%s%s", bad, *down ? "; " : "", down);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%s",
			   !status                    ? NOT_RUNNING
			   : json_array_size(plugins) ? "all can be used"
						      : "there is none");
}
