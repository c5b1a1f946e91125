#include "machine.h"

#include <gnu/libc-version.h>
#include <nng/nng.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include "wire.h"

#if defined(__clang__)
#define COMPILER "clang " __clang_version__
#else
#define COMPILER "gcc " __VERSION__
#endif

static void
describe_cpu(char *text, size_t size)
{
	FILE *file = fopen("/proc/cpuinfo", "re");
	char line[256];

	snprintf(text, size, "unknown processor");
	while (file && fgets(line, sizeof(line), file)) {
		char *colon = strchr(line, ':');

		if (!colon || strncmp(line, "model name", 10))
			continue;
		colon[strcspn(colon, "\n")] = '\0';
		snprintf(text, size, "%s", colon + 2);
		break;
	}
	if (file)
		fclose(file);
}

double
machine_load(void)
{
	double load = 0;

	return getloadavg(&load, 1) == 1 ? load : 0;
}

void
machine_describe(struct machine *ret)
{
	struct utsname system;

	*ret = (struct machine){.processors = (int)sysconf(_SC_NPROCESSORS_ONLN),
				.load_before = machine_load()};
	strftime(ret->date, sizeof(ret->date), "%Y-%m-%d", localtime(&(time_t){time(NULL)}));
	describe_cpu(ret->cpu, sizeof(ret->cpu));
	if (uname(&system) == 0)
		snprintf(ret->kernel, sizeof(ret->kernel), "%s %s", system.sysname, system.release);
	snprintf(ret->compiler, sizeof(ret->compiler), "%s", COMPILER);
	snprintf(ret->libraries, sizeof(ret->libraries), "glibc %s, nng %s, protobuf-c %s",
		 gnu_get_libc_version(), nng_version(), protobuf_c_version());
	snprintf(ret->plugd, sizeof(ret->plugd), "%s", PLUG_VERSION);
}

/* ---- quiet ---- */

#define QUIET_S     3
#define QUIET_MAX_S 600
#define QUIET_SHARE 0.95 /* of the processors' time is idle */

static double
idle_ticks(void)
{
	FILE *file = fopen("/proc/stat", "re");
	unsigned long long user, nice, system, idle = 0;

	if (file && fscanf(file, "cpu %llu %llu %llu %llu", &user, &nice, &system, &idle) != 4)
		idle = 0;
	if (file)
		fclose(file);
	return (double)idle;
}

bool
machine_wait_quiet(void)
{
	double all = QUIET_S * (double)(sysconf(_SC_CLK_TCK) * sysconf(_SC_NPROCESSORS_ONLN));

	for (int waited = 0; waited < QUIET_MAX_S; waited += QUIET_S) {
		double before = idle_ticks();

		sleep(QUIET_S);
		if (idle_ticks() - before >= QUIET_SHARE * all)
			return true;
	}
	return false;
}
