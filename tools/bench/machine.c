#include "machine.h"

#include <gnu/libc-version.h>
#include <nng/nng.h>
#include <protobuf-c/protobuf-c.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
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
	describe_cpu(ret->cpu, sizeof(ret->cpu));
	if (uname(&system) == 0)
		snprintf(ret->kernel, sizeof(ret->kernel), "%s %s", system.sysname, system.release);
	snprintf(ret->compiler, sizeof(ret->compiler), "%s", COMPILER);
	snprintf(ret->libraries, sizeof(ret->libraries), "glibc %s, nng %s, protobuf-c %s",
		 gnu_get_libc_version(), nng_version(), protobuf_c_version());
	snprintf(ret->plugd, sizeof(ret->plugd), "%s", PLUG_VERSION);
}
