#include "plugin/confine.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "os/cgroup_limit.h"

#define MB UINT64_C(1000000)

/* A plugin that uses nng has about 14 threads of it on 2 processors and 88 on 64. */
#define OWN_THREADS_BASE 32
#define OWN_THREADS_EACH 2                           /* a processor */
#define STACK_BYTES      (UINT64_C(8) * 1024 * 1024) /* of a thread that names no size */

static uint64_t
own_threads(void)
{
	long processors = sysconf(_SC_NPROCESSORS_CONF);

	return OWN_THREADS_BASE + OWN_THREADS_EACH * (uint64_t)(processors > 0 ? processors : 1);
}

static void note(struct confine *confine, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void
note(struct confine *confine, const char *format, ...)
{
	size_t used = strlen(confine->text), room = sizeof(confine->text) - used;
	va_list ap;

	if (used)
		used += (size_t)snprintf(confine->text + used, room, "; ");
	if (used >= sizeof(confine->text))
		return;
	va_start(ap, format);
	vsnprintf(confine->text + used, sizeof(confine->text) - used, format, ap);
	va_end(ap);
}

static void
missing(struct confine *confine, const char *what, const char *why)
{
	confine->incomplete = true;
	note(confine, "%s is NOT limited: %s", what, why);
}

/* ---- limits ---- */

static unsigned
limit_by_cgroup(const struct manifest_resources *want, const struct cgroup_group *group)
{
	const struct cgroup_limits limits = {
		.memory_bytes = (uint64_t)want->memory_mb * MB,
		.cpu_millis = (uint64_t)(want->cpu * 1000),
		.pids = want->pids ? (uint64_t)want->pids + own_threads() : 0,
	};

	return cgroup_set_limits(group->fd, &limits);
}

static void
limit_memory(const struct spec *spec, struct confine *confine, struct sandbox_config *config)
{
	int64_t mb = spec->manifest->resources.memory_mb;

	if (!mb)
		return;
	if (confine->cgroup_set & CGROUP_MEMORY) {
		note(confine, "memory %" PRId64 " MB by cgroup", mb);
		return;
	}
	/* Stacks count in full there, touched or not. */
	config->data_bytes = (uint64_t)mb * MB + own_threads() * STACK_BYTES;
	note(confine,
	     "memory %" PRId64 " MB a process by RLIMIT_DATA, with %" PRIu64
	     " MB for stacks (no memory controller)",
	     mb, own_threads() * STACK_BYTES / MB);
}

static void
limit_cpu(const struct spec *spec, struct confine *confine)
{
	double cpu = spec->manifest->resources.cpu;

	if (cpu > 0 && confine->cgroup_set & CGROUP_CPU)
		note(confine, "%.2f processors by cgroup", cpu);
	else if (cpu > 0)
		missing(confine, "processor time", "no cpu controller of cgroup v2 here");
}

static void
limit_pids(const struct spec *spec, struct confine *confine, struct sandbox_config *config)
{
	int64_t pids = spec->manifest->resources.pids;

	if (!pids)
		return;
	if (confine->cgroup_set & CGROUP_PIDS) {
		note(confine, "%" PRId64 " processes by cgroup", pids);
	} else if (spec->manifest->run.user) {
		config->processes = (uint64_t)pids + own_threads();
		note(confine, "%" PRId64 " processes of the user by RLIMIT_NPROC", pids);
	} else {
		missing(confine, "the number of processes",
			"no pids controller of cgroup v2 here, and RLIMIT_NPROC needs run.user");
	}
}

static void
limit_files(const struct spec *spec, struct confine *confine, struct sandbox_config *config)
{
	int64_t files = spec->manifest->resources.open_files;

	config->open_files = (uint64_t)files;
	if (files)
		note(confine, "%" PRId64 " descriptors by RLIMIT_NOFILE", files);
}

/* ---- sandbox ---- */

/* `paths`, and `own` more, as a list that ends with NULL. */
static const char *const *
list_of(const struct field_strings *paths, const char *own, const char *program)
{
	const char **list = calloc(paths->count + 3, sizeof(*list));
	size_t count = 0;

	if (!list)
		return NULL;
	for (; count < paths->count; count++)
		list[count] = paths->items[count];
	if (own)
		list[count++] = own;
	if (program)
		list[count++] = program;
	return list;
}

static plug_err
prepare(const struct spec *spec, struct sandbox_config *config, struct confine *confine,
	struct reason *why)
{
	const struct manifest_sandbox *want = &spec->manifest->sandbox;
	const char *const *read = list_of(&want->read, spec->folder, spec->program);
	const char *const *write = list_of(&want->write, NULL, NULL);
	plug_err err = PLUG_ENOMEM;

	config->confine = want->read.items || want->write.items; /* also of none */
	config->read_only = read;
	config->writable = write;
	if (config->confine)
		note(confine, "files confined by Landlock");
	if (config->filter != SANDBOX_FILTER_NONE)
		note(confine, "system calls filtered");
	if (read && write)
		err = sandbox_prepare(config, &confine->sandbox, why);
	else
		reason_set(why, err, "out of memory");
	free((void *)read);
	free((void *)write);
	return err;
}

plug_err
confine_prepare(const struct spec *spec, const struct cgroup_group *group, struct confine *ret,
		struct reason *why)
{
	const struct manifest *manifest = spec->manifest;
	struct confine confine = CONFINE_INIT;
	struct sandbox_config config = {
		.user = manifest->run.user,
		.keep_privileges = manifest->sandbox.new_privileges,
		.filter = manifest->sandbox.system_calls == MANIFEST_CALLS_DEFAULT
				  ? SANDBOX_FILTER_DEFAULT
				  : SANDBOX_FILTER_NONE,
	};
	plug_err err;

	if (config.user)
		note(&confine, "user %s", config.user);
	confine.cgroup_set = limit_by_cgroup(&manifest->resources, group);
	limit_memory(spec, &confine, &config);
	limit_cpu(spec, &confine);
	limit_pids(spec, &confine, &config);
	limit_files(spec, &confine, &config);
	err = prepare(spec, &config, &confine, why);
	if (!err)
		*ret = confine;
	return err;
}

void
confine_fini(struct confine *confine)
{
	sandbox_fini(&confine->sandbox);
}

/* ---- environment ---- */

bool
confine_inherits(const struct spec *spec, const char *item)
{
	const struct field_strings *names = &spec->manifest->run.env_inherit;

	for (size_t i = 0; i < names->count; i++) {
		size_t length = strlen(names->items[i]);

		if (!strncmp(item, names->items[i], length) && item[length] == '=')
			return true;
	}
	return names->count == 0;
}
