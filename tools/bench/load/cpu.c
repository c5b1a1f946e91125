#include <math.h>

#include "internal.h"

static double
read_ns(clockid_t clock)
{
	struct timespec time;

	if (clock_gettime(clock, &time) < 0)
		return NAN;
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

double
load_cpu_ns(pid_t pid)
{
	clockid_t clock;

	if (pid <= 0 || clock_getcpuclockid(pid, &clock))
		return NAN;
	return read_ns(clock);
}

double
load_cpu_self_ns(void)
{
	return read_ns(CLOCK_PROCESS_CPUTIME_ID);
}
