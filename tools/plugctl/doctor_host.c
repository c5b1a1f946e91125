/* Control groups, limits, GPU and packages. */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>
#include <sys/wait.h>
#include <unistd.h>

#include "check.h"
#include "doctor.h"
#include "format.h"
#include "os/packages.h"
#include "site.h"
#include "wire.h"

#define FILES_LEAST  256
#define FILES_GOOD   4096 /* about 6 descriptors a plugin */
#define TASKS_LEAST  256
#define MEMORY_LEAST ((uint64_t)128 << 20)
#define DISK_LEAST   ((uint64_t)100 << 20)
#define PYTHON       "/usr/bin/python3"
#define DELEGATE     "run plugd as a systemd service with Delegate=yes, or as root"

/* ---- control groups ---- */

/* Where cgroup2 is mounted. */
static bool
cgroup_mount(char *ret, size_t size)
{
	FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[2 * PATH_MAX], path[PATH_MAX];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		if (strstr(line, " - cgroup2 ") &&
		    sscanf(line, "%*s %*s %*s %*s %4095s", path) == 1)
			found = snprintf(ret, size, "%s", path) < (int)size;
	if (file)
		fclose(file);
	return found;
}

static bool
own_group(char *ret, size_t size)
{
	FILE *file = fopen("/proc/self/cgroup", "re");
	char line[PATH_MAX], mount[PATH_MAX];
	bool found = false;

	if (!cgroup_mount(mount, sizeof(mount)))
		*mount = '\0';
	while (file && !found && fgets(line, sizeof(line), file)) {
		line[strcspn(line, "\n")] = '\0';
		found = *mount && strncmp(line, "0::", 3) == 0 &&
			snprintf(ret, size, "%s%s", mount, strcmp(line + 3, "/") ? line + 3 : "") <
				(int)size;
	}
	if (file)
		fclose(file);
	return found;
}

/* A group below ours is made and removed. */
void
doctor_cgroup(struct ctl *ctl, struct doctor_finding *finding)
{
	char group[PATH_MAX], path[PATH_MAX + 64], file[PATH_MAX + 96];

	(void)ctl;
	if (!own_group(group, sizeof(group))) {
		doctor_say(finding, DOCTOR_WEAK, "mount -t cgroup2 none /sys/fs/cgroup",
			   "not mounted: processes are ended one by one, without limits of memory, "
			   "processors and processes");
		return;
	}
	snprintf(path, sizeof(path), "%s/plugctl-doctor-%d", group, getpid());
	snprintf(file, sizeof(file), "%s/cgroup.kill", path);
	if (mkdir(path, 0755) < 0) {
		doctor_say(finding, DOCTOR_WEAK, DELEGATE, "%.200s cannot be written: %s", group,
			   strerror(errno));
		return;
	}
	if (access(file, F_OK) < 0)
		doctor_say(finding, DOCTOR_WEAK, "run Linux 5.14 or later",
			   "%.200s, without cgroup.kill: ended in rounds", group);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%.200s can be written, with cgroup.kill",
			   group);
	rmdir(path);
}

void
doctor_controllers(struct ctl *ctl, struct doctor_finding *finding)
{
	static const char *const wanted[] = {"memory", "cpu", "pids"};
	char group[PATH_MAX], path[PATH_MAX + 32], have[256] = " ", line[254], missing[64] = "";

	(void)ctl;
	if (own_group(group, sizeof(group))) {
		snprintf(path, sizeof(path), "%s/cgroup.controllers", group);
		doctor_line(path, line, sizeof(line));
		snprintf(have, sizeof(have), " %s ", line);
	}
	for (size_t i = 0; i < 3; i++) {
		char word[16];

		snprintf(word, sizeof(word), " %s ", wanted[i]);
		if (!strstr(have, word))
			snprintf(missing + strlen(missing), sizeof(missing) - strlen(missing),
				 " %s", wanted[i]);
	}
	if (*missing)
		doctor_say(finding, DOCTOR_WEAK,
			   DELEGATE
			   "; where version 1 has them: systemd.unified_cgroup_hierarchy=1",
			   "missing:%s: those limits of a manifest hold by rlimits, or not at all",
			   missing);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "memory, cpu, pids");
}

/* ---- limits ---- */

void
doctor_files(struct ctl *ctl, struct doctor_finding *finding)
{
	struct rlimit limit = {0};

	(void)ctl;
	getrlimit(RLIMIT_NOFILE, &limit);
	if (limit.rlim_max >= FILES_GOOD)
		doctor_say(finding, DOCTOR_OK, NULL, "up to %llu",
			   (unsigned long long)limit.rlim_max);
	else
		doctor_say(finding, limit.rlim_max < FILES_LEAST ? DOCTOR_BROKEN : DOCTOR_WEAK,
			   "ulimit -Hn 65536 as root, or LimitNOFILE=65536 in the unit",
			   "up to %llu, enough for about %llu plugins",
			   (unsigned long long)limit.rlim_max,
			   (unsigned long long)limit.rlim_max / 6);
}

void
doctor_processes(struct ctl *ctl, struct doctor_finding *finding)
{
	struct rlimit limit = {0};
	char text[32];
	unsigned long long most, threads;

	(void)ctl;
	getrlimit(RLIMIT_NPROC, &limit);
	doctor_line("/proc/sys/kernel/threads-max", text, sizeof(text));
	threads = strtoull(text, NULL, 10);
	most = limit.rlim_max < threads ? limit.rlim_max : threads;
	if (most < TASKS_LEAST)
		doctor_say(finding, DOCTOR_BROKEN, "ulimit -u 65536, or TasksMax= in the unit",
			   "%llu threads in all; a plugin in C has about 16", most);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%llu threads in all", most);
}

static uint64_t
available_bytes(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long long kib = 0;

	while (file && !kib && fgets(line, sizeof(line), file))
		sscanf(line, "MemAvailable: %llu", &kib);
	if (file)
		fclose(file);
	return (uint64_t)kib * 1024;
}

void
doctor_memory(struct ctl *ctl, struct doctor_finding *finding)
{
	uint64_t available = available_bytes();
	char text[FORMAT_BYTES];

	(void)ctl;
	format_size(available, text);
	if (available < MEMORY_LEAST)
		doctor_say(finding, DOCTOR_WEAK, "end what needs it, or add swap",
			   "%s can be had: a hot reload needs room for two", text);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%s can be had", text);
}

void
doctor_disk(struct ctl *ctl, struct doctor_finding *finding)
{
	const char *tmp = getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp";
	struct statvfs fs;
	char text[FORMAT_BYTES];
	uint64_t left;

	(void)ctl;
	if (statvfs(tmp, &fs) < 0) {
		doctor_say(finding, DOCTOR_WEAK, "make it, or set TMPDIR", "%s: %s", tmp,
			   strerror(errno));
		return;
	}
	left = (uint64_t)fs.f_bavail * fs.f_frsize;
	doctor_say(finding, left < DISK_LEAST ? DOCTOR_WEAK : DOCTOR_OK,
		   left < DISK_LEAST ? "make room: logs are dropped when the disk is full" : NULL,
		   "%s left in %s", format_size(left, text), tmp);
}

void
doctor_processors(struct ctl *ctl, struct doctor_finding *finding)
{
	int count = get_nprocs();

	(void)ctl;
	if (count < 2)
		doctor_say(finding, DOCTOR_WEAK, "give the machine a second processor",
			   "one: calls over channels sleep instead of spinning");
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%d", count);
}

/* ---- GPU ---- */

static bool
nvidia_on_bus(void)
{
	DIR *dir = opendir("/sys/bus/pci/devices");
	const struct dirent *entry;
	char path[PATH_MAX], vendor[16];
	bool found = false;

	while (dir && !found && (entry = readdir(dir))) {
		char class[16];

		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/vendor", entry->d_name);
		doctor_line(path, vendor, sizeof(vendor));
		snprintf(path, sizeof(path), "/sys/bus/pci/devices/%s/class", entry->d_name);
		doctor_line(path, class, sizeof(class));
		found = strcmp(vendor, "0x10de") == 0 && strncmp(class, "0x03", 4) == 0;
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool
has_gpu(void)
{
	return access("/dev/nvidiactl", F_OK) == 0 || nvidia_on_bus();
}

void
doctor_gpu_device(struct ctl *ctl, struct doctor_finding *finding)
{
	char version[200];

	(void)ctl;
	doctor_line("/proc/driver/nvidia/version", version, sizeof(version));
	if (!has_gpu())
		doctor_say(finding, DOCTOR_OK, NULL,
			   "none: device: auto uses the CPU, and says so");
	else if (access("/dev/nvidiactl", R_OK | W_OK) < 0)
		doctor_say(finding, DOCTOR_BROKEN,
			   "load the driver (modprobe nvidia), and let this user use it (groups "
			   "video, render)",
			   "an NVIDIA GPU is there, /dev/nvidiactl: %s", strerror(errno));
	else
		doctor_say(finding, DOCTOR_OK, NULL, "%s", *version ? version : "/dev/nvidiactl");
}

/* The driver's library counts the devices, as a model plugin would. */
void
doctor_gpu_driver(struct ctl *ctl, struct doctor_finding *finding)
{
	void *library = dlopen("libcuda.so.1", RTLD_NOW | RTLD_LOCAL);
	int (*init)(unsigned) = NULL, (*count)(int *) = NULL, (*version)(int *) = NULL;
	int found = 0, number = 0, rc = -1;

	(void)ctl;
	if (library) {
		*(void **)&init = dlsym(library, "cuInit");
		*(void **)&count = dlsym(library, "cuDeviceGetCount");
		*(void **)&version = dlsym(library, "cuDriverGetVersion");
	}
	if (init && count && version && (rc = init(0)) == 0 && count(&found) == 0)
		version(&number);
	if (rc == 0 && found)
		doctor_say(finding, DOCTOR_OK, NULL, "CUDA %d.%d, %d device%s", number / 1000,
			   number % 1000 / 10, found, found == 1 ? "" : "s");
	else if (!has_gpu())
		doctor_say(finding, DOCTOR_OK, NULL, "not needed without a GPU");
	else if (!library)
		doctor_say(finding, DOCTOR_BROKEN,
			   "install the driver's libcuda1 of the same version as its kernel module",
			   "libcuda.so.1 cannot be loaded");
	else
		doctor_say(finding, DOCTOR_BROKEN,
			   "compare nvidia-smi and dmesg; library and kernel module have to be of "
			   "one version",
			   "cuInit ended with %d, %d devices", rc, found);
}

/* ---- packages ---- */

/* Does the command succeed?  Its output is dropped. */
static bool
succeeds(const char *command)
{
	char line[PATH_MAX + 64];
	int status;

	snprintf(line, sizeof(line), "%s >/dev/null 2>&1", command);
	status = system(line);
	return status >= 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

void
doctor_plugd_program(struct ctl *ctl, struct doctor_finding *finding)
{
	char path[PATH_MAX], command[PATH_MAX + 32], said[64] = "";
	FILE *pipe;

	(void)ctl;
	site_find_plugd(path);
	snprintf(command, sizeof(command), "'%s' --version 2>/dev/null", path);
	pipe = popen(command, "re");
	if (pipe && !fgets(said, sizeof(said), pipe))
		*said = '\0';
	said[strcspn(said, "\n")] = '\0';
	if (pipe)
		pclose(pipe);
	if (strncmp(said, "plugd " PLUG_VERSION, strlen("plugd " PLUG_VERSION)) == 0)
		doctor_say(finding, DOCTOR_OK, NULL, "%s, %s", said, path);
	else if (*said)
		doctor_say(finding, DOCTOR_WEAK, "install both from one build",
			   "%s is %s, plugctl is " PLUG_VERSION, path, said);
	else
		doctor_say(finding, DOCTOR_BROKEN,
			   "install it beside plugctl, or put its folder into $PATH",
			   "%s cannot be executed", path);
}

static bool
loads(const char *library)
{
	void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);

	if (handle)
		dlclose(handle);
	return handle;
}

/* " a b": those of `tools` that are not there. */
static void
missing_tools(const char *const *tools, char *ret, size_t size)
{
	*ret = '\0';
	for (; *tools; tools++)
		if (!check_program(*tools))
			snprintf(ret + strlen(ret), size - strlen(ret), " %s", *tools);
}

void
doctor_build_c(struct ctl *ctl, struct doctor_finding *finding)
{
	static const char *const tools[] = {"cc", "cmake", "pkg-config", NULL};
	char missing[128];

	(void)ctl;
	missing_tools(tools, missing, sizeof(missing));
	if (*missing)
		doctor_say(finding, DOCTOR_WEAK, "apt-get install gcc libc6-dev cmake pkg-config",
			   "run, are not built: missing%s", missing);
	else if (!succeeds("pkg-config --exists jansson"))
		doctor_say(finding, DOCTOR_WEAK, "apt-get install libjansson-dev",
			   "run, are not built as plugctl new writes them: jansson is missing");
	else
		doctor_say(finding, DOCTOR_OK, NULL, "run, can be built");
}

static void
note_unmet(void *context, const struct manifest_package *package, const char *text)
{
	(void)context;
	(void)package;
	(void)text;
}

/* As for a plugin that requires it: to start a Python for the answer takes fifteen times as long.
 */
static bool
finds_protobuf(void)
{
	const struct manifest_package protobuf = {.name = "protobuf", .text = "protobuf"};
	const struct manifest manifest = {.dir = "/", .requires.packages = {&protobuf, 1}};
	const struct packages_look look = {.manifest = &manifest, .program = PYTHON};

	return packages_check(&look, note_unmet, NULL);
}

void
doctor_build_python(struct ctl *ctl, struct doctor_finding *finding)
{
	(void)ctl;
	if (!check_program(PYTHON))
		doctor_say(finding, DOCTOR_WEAK, "apt-get install python3 python3-protobuf libnng1",
			   PYTHON " is missing");
	else if (!finds_protobuf())
		doctor_say(finding, DOCTOR_WEAK, "apt-get install python3-protobuf",
			   "google.protobuf is missing");
	else
		doctor_say(finding, loads("libnng.so.1") ? DOCTOR_OK : DOCTOR_WEAK,
			   loads("libnng.so.1") ? NULL : "apt-get install libnng1", "%s",
			   loads("libnng.so.1") ? "run" : "libnng.so.1 is missing");
}

void
doctor_debug_tools(struct ctl *ctl, struct doctor_finding *finding)
{
	static const char *const tools[] = {"gdb", "valgrind", NULL};
	char missing[64];

	(void)ctl;
	missing_tools(tools, missing, sizeof(missing));
	if (*missing)
		doctor_say(finding, DOCTOR_WEAK, "apt-get install gdb valgrind", "missing:%s",
			   missing);
	else
		doctor_say(finding, DOCTOR_OK, NULL, "gdb, valgrind");
}
