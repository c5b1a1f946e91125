#include "region.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK_BYTES 512 /* of st_blocks */
#define SIZE_SEALS  (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)
#define SEALS       (SIZE_SEALS | F_SEAL_FUTURE_WRITE)

_Static_assert(PLUG_REGION_HEAD % 4096 == 0, "the ring can be mapped on its own");

/* ---- memfds ---- */

/* Beyond a limit on the size of files the kernel would send SIGXFSZ, which ends a process. */
static bool
beyond_file_limit(uint64_t bytes)
{
	struct rlimit limit;

	return getrlimit(RLIMIT_FSIZE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY &&
	       bytes > limit.rlim_cur;
}

int
plugs_memfd(const char *name, uint64_t bytes)
{
	int failed, fd;

	if (beyond_file_limit(bytes)) {
		errno = EFBIG;
		return -1;
	}
	fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return -1;
	failed = ftruncate(fd, (off_t)bytes) < 0 ? errno : 0;
	while (!failed && (failed = posix_fallocate(fd, 0, (off_t)bytes)) == EINTR)
		failed = 0;
	if (!failed)
		return fd;
	close(fd);
	errno = failed;
	return -1;
}

int
plugs_seal(int fd)
{
	return fcntl(fd, F_ADD_SEALS, SEALS) < 0 ? -1 : 0;
}

static const char *
wrong_memory(int fd, uint64_t bytes, int wanted, const char *missing)
{
	struct stat st;
	int seals = fcntl(fd, F_GET_SEALS);

	if (seals < 0)
		return "it is no memfd";
	if ((seals & wanted) != wanted)
		return missing;
	if (fstat(fd, &st) < 0 || st.st_size < 0 || (uint64_t)st.st_size != bytes)
		return "its size is not the one that was announced";
	/* A hole is filled by whoever reads it first: at his cost, or with a SIGBUS. */
	if ((uint64_t)st.st_blocks * BLOCK_BYTES < bytes)
		return "it has holes, expected that its maker took all its memory";
	return NULL;
}

const char *
plugs_sealed(int fd, uint64_t bytes)
{
	return wrong_memory(
		fd, bytes, SEALS,
		"its seals are incomplete, expected shrink, grow, future-write and seal");
}

const char *
plugs_size_sealed(int fd, uint64_t bytes)
{
	return wrong_memory(fd, bytes, SIZE_SEALS,
			    "its seals are incomplete, expected shrink, grow and seal");
}

/* ---- mapping ---- */

static size_t
span(uint64_t region_bytes)
{
	return (size_t)(2 * region_bytes - PLUG_REGION_HEAD);
}

/* Pages are mapped as they are first touched, which cannot fail because they are there: all of them
 * now would cost 60 us while somebody waits for the channel, and a page later costs one. */
static plug_err
map(int fd, int protection, uint64_t region_bytes, struct plugs_region *ret)
{
	uint64_t ring_bytes = region_bytes - PLUG_REGION_HEAD;
	int flags = MAP_SHARED | MAP_FIXED;
	uint8_t *base = mmap(NULL, span(region_bytes), PROT_NONE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (base == MAP_FAILED)
		return PLUG_ENOMEM;
	if (mmap(base, (size_t)region_bytes, protection, flags, fd, 0) == MAP_FAILED ||
	    mmap(base + region_bytes, (size_t)ring_bytes, protection, flags, fd,
		 PLUG_REGION_HEAD) == MAP_FAILED) {
		int saved = errno;

		munmap(base, span(region_bytes));
		errno = saved;
		return saved == ENOMEM ? PLUG_ENOMEM : PLUG_ESYS;
	}
	*ret = (struct plugs_region){
		.head = (struct plug_region_head *)base,
		.ring = base + PLUG_REGION_HEAD,
		.ring_bytes = ring_bytes,
		.region_bytes = region_bytes,
	};
	return PLUG_OK;
}

void
plugs_region_fini(struct plugs_region *region)
{
	if (region->head)
		munmap(region->head, span(region->region_bytes));
	*region = (struct plugs_region){.head = NULL};
}

static int
size_ok(uint64_t bytes)
{
	return bytes >= PLUG_REGION_BYTES_MIN && bytes <= PLUG_REGION_BYTES_MAX &&
	       bytes % 4096 == 0;
}

plug_err
plugs_region_make(enum plug_region_side side, uint64_t channel, uint64_t region_bytes,
		  struct plugs_region *ret, int *ret_fd)
{
	struct plugs_region region;
	plug_err err;
	int fd;

	if (!size_ok(region_bytes))
		return PLUG_EINVAL;
	fd = plugs_memfd("plug-ring", region_bytes);
	if (fd < 0)
		return errno == EMFILE || errno == ENFILE ? PLUG_ESYS : PLUG_ENOMEM;
	err = map(fd, PROT_READ | PROT_WRITE, region_bytes, &region);
	if (err != PLUG_OK) {
		close(fd);
		return err;
	}
	region.head->magic = PLUG_REGION_MAGIC;
	region.head->version = PLUG_REGION_VERSION;
	region.head->side = side;
	region.head->region_bytes = region_bytes;
	region.head->channel = channel;
	if (plugs_seal(fd) < 0) {
		plugs_region_fini(&region);
		close(fd);
		return PLUG_ESYS;
	}
	*ret = region;
	*ret_fd = fd;
	return PLUG_OK;
}

static const char *
wrong_head(const struct plug_region_head *head, enum plug_region_side side, uint64_t bytes)
{
	const volatile struct plug_region_head *seen = head;

	if (seen->magic != PLUG_REGION_MAGIC)
		return "it does not begin like a region";
	if (seen->version != PLUG_REGION_VERSION)
		return "its layout has another version";
	if (seen->side != (uint32_t)side)
		return "it is the region of the wrong side";
	if (seen->region_bytes != bytes)
		return "it names another size than it has";
	return NULL;
}

plug_err
plugs_region_map(int fd, enum plug_region_side side, uint64_t region_bytes,
		 struct plugs_region *ret, const char **ret_why)
{
	struct plugs_region region;
	plug_err err;

	*ret_why =
		size_ok(region_bytes) ? plugs_sealed(fd, region_bytes) : "its size is out of range";
	if (*ret_why)
		return PLUG_EPROTO;
	err = map(fd, PROT_READ, region_bytes, &region);
	if (err != PLUG_OK) {
		*ret_why = "it cannot be mapped";
		return err;
	}
	*ret_why = wrong_head(region.head, side, region_bytes);
	if (*ret_why) {
		plugs_region_fini(&region);
		return PLUG_EPROTO;
	}
	*ret = region;
	return PLUG_OK;
}
