/* A child that is to die of what it does. */
#ifndef DYING_SUPPORT_H
#define DYING_SUPPORT_H

#include <signal.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

/* Without a core, and without cmocka's handlers. */
static inline void
become_ordinary(void)
{
	static const int signals[] = {SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP, SIGSYS};
	struct rlimit none = {0};

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++)
		signal(signals[i], SIG_DFL);
	setrlimit(RLIMIT_CORE, &none);
	alarm(20);
}

#endif
