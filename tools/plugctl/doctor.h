/*
 * What plugctl doctor looks at.  A check is a function that tries the thing itself, wherever it can
 * be tried, and a line in the table.
 */
#ifndef PLUGCTL_DOCTOR_H
#define PLUGCTL_DOCTOR_H

#include "ctl.h"

#define DOCTOR_DETAIL_BYTES 320
#define DOCTOR_REMEDY_BYTES 320

enum doctor_result {
	DOCTOR_OK,
	DOCTOR_WEAK,   /* plugd works, with less: of this, or for those who need this */
	DOCTOR_BROKEN, /* plugd does not work, or not as it says */
};

/* An empty finding is DOCTOR_OK. */
struct doctor_finding {
	enum doctor_result result;
	char detail[DOCTOR_DETAIL_BYTES], remedy[DOCTOR_REMEDY_BYTES];
};

/* Set the finding.  remedy NULL: there is nothing to do. */
void doctor_say(struct doctor_finding *finding, enum doctor_result result, const char *remedy,
		const char *format, ...) PLUG_PRINTF(4, 5);

/* The first line of a file without its newline; "" when it cannot be read. */
void doctor_line(const char *path, char *ret, size_t size);

/* group, name, function */
#define DOCTOR_CHECKS(X)                                        \
	X("kernel", "Linux", doctor_linux)                      \
	X("kernel", "pidfd", doctor_pidfd)                      \
	X("kernel", "sealed memory", doctor_seals)              \
	X("kernel", "descriptors over sockets", doctor_packets) \
	X("kernel", "subreaper", doctor_subreaper)              \
	X("kernel", "execute an open file", doctor_execveat)    \
	X("kernel", "inotify", doctor_inotify)                  \
	X("kernel", "Landlock", doctor_landlock)                \
	X("kernel", "seccomp", doctor_seccomp)                  \
	X("kernel", "core files", doctor_core)                  \
	X("kernel", "tracing", doctor_tracing)                  \
	X("kernel", "clock", doctor_clock)                      \
	X("cgroups", "cgroup v2", doctor_cgroup)                \
	X("cgroups", "controllers", doctor_controllers)         \
	X("limits", "open files", doctor_files)                 \
	X("limits", "processes", doctor_processes)              \
	X("limits", "memory", doctor_memory)                    \
	X("limits", "disk", doctor_disk)                        \
	X("limits", "processors", doctor_processors)            \
	X("GPU", "device", doctor_gpu_device)                   \
	X("GPU", "CUDA driver", doctor_gpu_driver)              \
	X("packages", "plugd", doctor_plugd_program)            \
	X("packages", "plugins in C", doctor_build_c)           \
	X("packages", "plugins in Python", doctor_build_python) \
	X("packages", "debugging", doctor_debug_tools)          \
	X("plugd", "runtime directory", doctor_runtime_dir)     \
	X("plugd", "answers", doctor_answers)                   \
	X("plugd", "containment", doctor_containment)           \
	X("plugd", "configuration", doctor_configuration)       \
	X("plugd", "state directory", doctor_state_dir)         \
	X("plugd", "plugins", doctor_plugins)

#define DOCTOR_DECLARE(group, name, function) \
	void function(struct ctl *ctl, struct doctor_finding *finding);
DOCTOR_CHECKS(DOCTOR_DECLARE)

/* plugd's own status, asked once; NULL when it does not answer.  It belongs to doctor_plugd.c, and
 * is released by doctor_plugd_fini(). */
void doctor_plugd_fini(void);

#endif
