#include "site.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "check.h"

#define READY_MS       30000
#define PLUGD_ARGS     (10 + 2 * ARGS_MORE_DIRS)
#define ARGS_MORE_DIRS 32
#define LOG_SHOWN      4096

/* ---- the directory ---- */

static int
on_entry(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)st;
	(void)kind;
	(void)where;
	return remove(path) && errno != ENOENT;
}

static void
remove_root(struct site *site)
{
	if (*site->root)
		nftw(site->root, on_entry, 16, FTW_DEPTH | FTW_PHYS);
	*site->root = '\0';
}

static bool
make_root(struct site *site)
{
	const char *base = getenv("TMPDIR");

	/* Sockets have paths of 107 bytes at most. */
	if (!base || *base != '/' || strlen(base) > 40)
		base = "/tmp";
	snprintf(site->root, sizeof(site->root), "%s/plugctl-XXXXXX", base);
	if (!mkdtemp(site->root)) {
		*site->root = '\0';
		return false;
	}
	snprintf(site->runtime, sizeof(site->runtime), "%.100s/r", site->root);
	snprintf(site->log, sizeof(site->log), "%.100s/plugd.log", site->root);
	return true;
}

static bool
is_single(const struct site_config *config)
{
	struct stat st;

	return stat(config->plugin, &st) == 0 && S_ISREG(st.st_mode);
}

static bool
link_plugin(const struct site *site, const struct site_config *config)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/plugins", site->root);
	if (mkdir(path, 0700) < 0)
		return false;
	snprintf(path, sizeof(path), "%s/plugins/%s", site->root, config->name);
	return is_single(config) || symlink(config->plugin, path) == 0;
}

/* JSON is YAML. */
static bool
write_config(const struct site *site, const struct site_config *config)
{
	json_t *document = json_pack("{s:{}}", "plugins");
	json_t *plugins = json_object_get(document, "plugins");
	char path[PATH_MAX];
	int rc;

	if (config->override && json_object_size(config->override))
		json_object_set(plugins, config->name, config->override);
	else
		json_object_del(document, "plugins");
	snprintf(path, sizeof(path), "%s/plugd.yaml", site->root);
	rc = json_dump_file(document, path, JSON_INDENT(1));
	json_decref(document);
	return rc == 0;
}

/* ---- plugd ---- */

void
site_find_plugd(char path[PATH_MAX])
{
	ssize_t size = readlink("/proc/self/exe", path, PATH_MAX - 16);
	char *slash;

	if (size > 0) {
		path[size] = '\0';
		slash = strrchr(path, '/');
		strcpy(slash + 1, "plugd");
		if (access(path, X_OK) == 0)
			return;
	}
	strcpy(path, "plugd");
}

/* PLUGD_<PLUGIN>_<KEY>=VALUE, a layer of the plugin's configuration. */
static void
export_set(const char *plugin, const char *set)
{
	char name[256];
	size_t used = (size_t)snprintf(name, sizeof(name), "PLUGD_%s_%.*s", plugin,
				       (int)strcspn(set, "="), set);

	for (size_t i = 0; i < used && name[i]; i++) {
		if (name[i] >= 'a' && name[i] <= 'z')
			name[i] -= 'a' - 'A';
		if (name[i] == '-')
			name[i] = '_';
	}
	setenv(name, strchr(set, '=') + 1, 1);
}

static _Noreturn void
exec_plugd(const struct site *site, const struct site_config *config, const char *notify)
{
	char plugd[PATH_MAX], plugins[PATH_MAX], file[PATH_MAX];
	const char *argv[PLUGD_ARGS + 1];
	size_t count = 0;
	int log = open(site->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	int null = open("/dev/null", O_RDONLY | O_CLOEXEC);

	prctl(PR_SET_PDEATHSIG, SIGTERM);
	setpgid(0, 0); /* Ctrl-C is plugctl's, which then asks plugd to stop */
	dup2(null, STDIN_FILENO);
	dup2(log, STDOUT_FILENO);
	dup2(log, STDERR_FILENO);
	site_find_plugd(plugd);
	snprintf(plugins, sizeof(plugins), "%s/plugins", site->root);
	snprintf(file, sizeof(file), "%s/plugd.yaml", site->root);
	argv[count++] = plugd;
	argv[count++] = "--config";
	argv[count++] = file;
	argv[count++] = "--runtime-dir";
	argv[count++] = site->runtime;
	argv[count++] = "--log-level";
	argv[count++] = config->log_level ? config->log_level : "info";
	argv[count++] = "--plugin-dir";
	argv[count++] = is_single(config) ? config->plugin : plugins;
	for (size_t i = 0; i < config->with_count && i < ARGS_MORE_DIRS; i++) {
		argv[count++] = "--plugin-dir";
		argv[count++] = config->with[i];
	}
	argv[count] = NULL;
	for (size_t i = 0; i < config->set_count; i++)
		export_set(config->name, config->sets[i]);
	setenv("NOTIFY_SOCKET", notify, 1);
	execvp(plugd, (char *const *)argv);
	dprintf(STDERR_FILENO, "%s: %s\n", plugd, strerror(errno));
	_exit(127);
}

static int
listen_for_ready(const struct site *site, char path[SITE_PATH_BYTES])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	AUTO_CLOSE int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	snprintf(path, SITE_PATH_BYTES, "%.100s/notify", site->root);
	snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -1;
	return steal_fd(&fd);
}

/* Until plugd says READY=1, or ends. */
static bool
wait_for_ready(int notify, int pidfd)
{
	struct pollfd fds[] = {{.fd = notify, .events = POLLIN}, {.fd = pidfd, .events = POLLIN}};
	char text[512];

	while (poll(fds, 2, READY_MS) > 0 || errno == EINTR) {
		ssize_t got =
			fds[0].revents ? recv(notify, text, sizeof(text) - 1, MSG_DONTWAIT) : -1;

		text[got > 0 ? got : 0] = '\0';
		if (strstr(text, "READY=1"))
			return true;
		if (got <= 0 && fds[1].revents)
			return false;
	}
	return false;
}

static bool
start(struct site *site, const struct site_config *config, char *why)
{
	char path[SITE_PATH_BYTES];
	AUTO_CLOSE int notify = listen_for_ready(site, path), pidfd = -1;
	bool ready;

	site->pid = notify < 0 ? -1 : fork();
	if (site->pid == 0)
		exec_plugd(site, config, path);
	if (site->pid < 0) {
		site->pid = 0;
		snprintf(why, SITE_WHY_BYTES, "a plugd cannot be started: %s", strerror(errno));
		return false;
	}
	pidfd = (int)syscall(SYS_pidfd_open, site->pid, 0);
	ready = pidfd >= 0 && wait_for_ready(notify, pidfd);
	if (!ready)
		snprintf(why, SITE_WHY_BYTES,
			 "the plugd that was started for it did not become ready; what it said is "
			 "above");
	return ready;
}

bool
site_open(const struct site_config *config, struct site *ret, char why[SITE_WHY_BYTES])
{
	struct site site = {.pid = 0};

	snprintf(site.name, sizeof(site.name), "%s", config->name);
	if (!make_root(&site) || !link_plugin(&site, config) || !write_config(&site, config)) {
		snprintf(why, SITE_WHY_BYTES, "a temporary directory cannot be made: %s",
			 strerror(errno));
	} else if (start(&site, config, why)) {
		*ret = site;
		return true;
	} else {
		site_print_log(&site);
	}
	site_close(&site);
	return false;
}

void
site_stop(const struct site *site)
{
	if (site->pid > 0)
		kill(site->pid, SIGTERM);
}

void
site_close(struct site *site)
{
	pid_t pid = site->pid;
	siginfo_t info;

	site_stop(site);
	while (pid > 0 && waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT) < 0 && errno == EINTR)
		;
	site->pid = 0; /* a signal handler must not stop what is reaped */
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	remove_root(site);
}

void
site_print_log(const struct site *site)
{
	AUTO_CLOSE int fd = open(site->log, O_RDONLY | O_CLOEXEC);
	char text[LOG_SHOWN];
	off_t size = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	ssize_t got;

	if (size <= 0)
		return;
	got = pread(fd, text, sizeof(text), size > LOG_SHOWN ? size - LOG_SHOWN : 0);
	if (got > 0)
		fwrite(text, 1, (size_t)got, stderr);
}
