#include "os/memfd.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

#define SEALS       (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_FUTURE_WRITE | F_SEAL_SEAL)
#define BLOCK_BYTES 512 /* of st_blocks */

const char *
memfd_fault(int fd, uint64_t bytes)
{
	int seals = fcntl(fd, F_GET_SEALS);
	struct stat st;

	if (seals < 0 || fstat(fd, &st) < 0)
		return "is no memfd";
	if ((seals & SEALS) != SEALS)
		return "is not sealed: expected the seals shrink, grow, future-write and seal";
	if (st.st_size < 0 || (uint64_t)st.st_size != bytes)
		return "has another size than was announced";
	/* A hole would be filled by whoever reads it first, at his cost. */
	if ((uint64_t)st.st_blocks * BLOCK_BYTES < bytes)
		return "has holes: its memory has to be taken (posix_fallocate) by its maker";
	return NULL;
}

/* Another description of the same memory: what may be done with it is the mode's. */
static int
reopen(int fd, int mode)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, mode | O_CLOEXEC);
}

static plug_err
map_page(int fd, size_t bytes, void **ret_page)
{
	void *page = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (page == MAP_FAILED)
		return PLUG_ESYS;
	*ret_page = page;
	return PLUG_OK;
}

/* Without the seal against future writers: after an execve it has to be mapped for writing again.
 */
plug_err
memfd_page_new(const char *name, size_t bytes, int *ret_fd, void **ret_page)
{
	AUTO_CLOSE int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	AUTO_CLOSE int reader = -1;

	if (fd < 0)
		return PLUG_ESYS;
	do
		errno = posix_fallocate(fd, 0, (off_t)bytes);
	while (errno == EINTR);
	if (errno || fcntl(fd, F_ADD_SEALS, SEALS & ~F_SEAL_FUTURE_WRITE) < 0 ||
	    fchmod(fd, 0600) < 0)
		return PLUG_ESYS;
	reader = reopen(fd, O_RDONLY);
	if (reader < 0 || map_page(fd, bytes, ret_page))
		return PLUG_ESYS;
	*ret_fd = steal_fd(&reader);
	return PLUG_OK;
}

plug_err
memfd_page_map(int fd, size_t bytes, void **ret_page)
{
	AUTO_CLOSE int writer = reopen(fd, O_RDWR);

	return writer < 0 ? PLUG_ESYS : map_page(writer, bytes, ret_page);
}

void
memfd_page_free(void *page, size_t bytes)
{
	if (page)
		munmap(page, bytes);
}

void
memfd_page_wake(const uint32_t *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE, INT_MAX, NULL, NULL, 0);
}
