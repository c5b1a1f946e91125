/* Locals that clean up by scope; success steals. */
#ifndef PLUGD_CLEANUP_H
#define PLUGD_CLEANUP_H

#include <stdlib.h>
#include <unistd.h>

static inline void
cleanup_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}

static inline void
cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline int
steal_fd(int *fd)
{
	int stolen = *fd;

	*fd = -1;
	return stolen;
}

static inline void
close_fd(int *fd)
{
	cleanup_fd(fd);
	*fd = -1;
}

#define AUTO_CLOSE __attribute__((cleanup(cleanup_fd)))
#define AUTO_FREE  __attribute__((cleanup(cleanup_free)))

#define CONTAINER_OF(pointer, type, member) \
	((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
