/*
 * LD_PRELOAD: one allocation of a running program fails, chosen from outside.
 *
 * The file $FAILALLOC_FILE is shared with the test (plugtest/failalloc.py), which sets `kinds` and
 * `spared` while the program runs; the allocation after so many others fails, once, and `trace`
 * says where.  Only programs of the name $FAILALLOC_PROGRAM take part; what the libraries in
 * $FAILALLOC_EXCLUDE (parts of paths, divided by colons) allocate, themselves or through libc, is
 * neither counted nor fails.
 *
 * Nothing here allocates; fork and threads are fine.
 */
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>
#include <unwind.h>

#define EXPORT      __attribute__((visibility("default")))
#define OBJECTS_MAX 64
#define FRAMES_MAX  16
#define TRACE_BYTES 3072

enum { KIND_MEMORY = 1, KIND_MMAP = 2, KIND_MEMFD = 4 };

/* The layout is known to failalloc.py. */
struct control {
	uint32_t kinds, failed;
	int64_t spared;   /* counts down; the one that finds 0 fails */
	uint64_t counted; /* while kinds is not 0 */
	char trace[TRACE_BYTES];
};

struct object {
	uintptr_t base, begin, end;
	bool is_libc, excluded;
	char name[64];
};

static struct control *control;
static struct object objects[OBJECTS_MAX];
static size_t object_count;
static __thread bool inside;

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t align, size_t size);

/* ---- who asks ---- */

static bool
is_excluded(const char *path)
{
	const char *list = getenv("FAILALLOC_EXCLUDE");

	while (list && *list) {
		size_t length = strcspn(list, ":");

		if (length && memmem(path, strlen(path), list, length))
			return true;
		list += length + (list[length] == ':');
	}
	return false;
}

static int
on_object(struct dl_phdr_info *info, size_t size, void *context)
{
	struct object *object = &objects[object_count];
	const char *name = strrchr(info->dlpi_name, '/');

	(void)size;
	(void)context;
	if (object_count == OBJECTS_MAX)
		return 1;
	object->base = info->dlpi_addr;
	object->begin = UINTPTR_MAX;
	for (size_t i = 0; i < info->dlpi_phnum; i++) {
		const ElfW(Phdr) *part = &info->dlpi_phdr[i];
		uintptr_t begin = info->dlpi_addr + part->p_vaddr;

		if (part->p_type != PT_LOAD || !(part->p_flags & PF_X))
			continue;
		object->begin = begin < object->begin ? begin : object->begin;
		object->end = begin + part->p_memsz;
	}
	snprintf(object->name, sizeof(object->name), "%s",
		 name           ? name + 1
		 : object_count ? "?"
				: program_invocation_short_name);
	object->is_libc = !strncmp(object->name, "libc.so", 7) || strstr(object->name, "failalloc");
	object->excluded = is_excluded(info->dlpi_name);
	object_count++;
	return 0;
}

static const struct object *
object_of(uintptr_t address)
{
	for (size_t i = 0; i < object_count; i++)
		if (address >= objects[i].begin && address < objects[i].end)
			return &objects[i];
	return NULL;
}

struct frames {
	uintptr_t at[FRAMES_MAX];
	size_t count;
};

static _Unwind_Reason_Code
on_frame(struct _Unwind_Context *context, void *data)
{
	struct frames *frames = data;

	if (frames->count == FRAMES_MAX)
		return _URC_END_OF_STACK;
	frames->at[frames->count++] = (uintptr_t)_Unwind_GetIP(context);
	return _URC_NO_REASON;
}

/* The first that is neither libc nor this; strdup() and the like are whose they are called by. */
static const struct object *
owner_of(uintptr_t caller)
{
	const struct object *object = object_of(caller);
	struct frames frames = {.count = 0};

	if (!object || !object->is_libc)
		return object;
	_Unwind_Backtrace(on_frame, &frames);
	for (size_t i = 0; i < frames.count; i++) {
		object = object_of(frames.at[i]);
		if (object && !object->is_libc)
			return object;
	}
	return NULL;
}

/* ---- which one ---- */

static void
leave_trace(void)
{
	struct frames frames = {.count = 0};
	size_t used = 0;

	_Unwind_Backtrace(on_frame, &frames);
	for (size_t i = 0; i < frames.count && used < TRACE_BYTES - 128; i++) {
		const struct object *object = object_of(frames.at[i]);

		if (object && strstr(object->name, "failalloc"))
			continue;
		used += (size_t)snprintf(
			control->trace + used, TRACE_BYTES - used, "%s+0x%lx\n",
			object ? object->name : "?",
			(unsigned long)(frames.at[i] - (object ? object->base : 0)));
	}
}

static bool
fails(uint32_t kind, void *caller)
{
	const struct object *owner;
	bool is_it = false;

	if (!control || inside || !(__atomic_load_n(&control->kinds, __ATOMIC_ACQUIRE) & kind))
		return false;
	inside = true;
	owner = owner_of((uintptr_t)caller);
	if (!owner || !owner->excluded) {
		__atomic_fetch_add(&control->counted, 1, __ATOMIC_SEQ_CST);
		is_it = __atomic_fetch_sub(&control->spared, 1, __ATOMIC_SEQ_CST) == 0;
	}
	if (is_it) {
		leave_trace();
		__atomic_store_n(&control->failed, 1, __ATOMIC_SEQ_CST);
	}
	inside = false;
	if (is_it)
		errno = ENOMEM;
	return is_it;
}

#define FAILS(kind) fails(kind, __builtin_return_address(0))

/* ---- what is replaced ---- */

EXPORT void *
malloc(size_t size)
{
	return FAILS(KIND_MEMORY) ? NULL : __libc_malloc(size);
}

EXPORT void *
calloc(size_t count, size_t size)
{
	return FAILS(KIND_MEMORY) ? NULL : __libc_calloc(count, size);
}

EXPORT void *
realloc(void *old, size_t size)
{
	return FAILS(KIND_MEMORY) ? NULL : __libc_realloc(old, size);
}

EXPORT void *
aligned_alloc(size_t align, size_t size)
{
	return FAILS(KIND_MEMORY) ? NULL : __libc_memalign(align, size);
}

EXPORT int
posix_memalign(void **ret, size_t align, size_t size)
{
	void *memory = FAILS(KIND_MEMORY) ? NULL : __libc_memalign(align, size);

	if (!memory)
		return ENOMEM;
	*ret = memory;
	return 0;
}

EXPORT void *
mmap(void *address, size_t length, int protection, int flags, int fd, off_t offset)
{
	if (FAILS(KIND_MMAP))
		return MAP_FAILED;
	return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}

EXPORT int
memfd_create(const char *name, unsigned flags)
{
	if (FAILS(KIND_MEMFD))
		return -1;
	return (int)syscall(SYS_memfd_create, name, flags);
}

/* ---- */

static void __attribute__((constructor)) begin(void)
{
	const char *program = getenv("FAILALLOC_PROGRAM"), *path = getenv("FAILALLOC_FILE");
	void *shared;
	int fd;

	if (!program || !path || strcmp(program, program_invocation_short_name))
		return;
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return;
	shared = (void *)syscall(SYS_mmap, NULL, sizeof(*control), PROT_READ | PROT_WRITE,
				 MAP_SHARED, fd, 0);
	close(fd);
	if (shared == MAP_FAILED)
		return;
	dl_iterate_phdr(on_object, NULL);
	inside = true;
	owner_of((uintptr_t)__libc_malloc); /* the unwinder prepares itself */
	inside = false;
	control = shared;
}
