#include "os/spawn_memory.h"

#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

struct spawn_memory {
	size_t bytes;
	struct spawn_child child;
};

/* ---- the copy ---- */

/* Where the next piece goes; NULL: it is only counted. */
struct pack {
	char *memory;
	size_t used;
};

static void *
put(struct pack *pack, const void *from, size_t bytes)
{
	void *at = pack->memory ? pack->memory + pack->used : NULL;

	if (at && bytes)
		memcpy(at, from, bytes);
	pack->used += (bytes + _Alignof(max_align_t) - 1) & ~(_Alignof(max_align_t) - 1);
	return at;
}

static char *
put_text(struct pack *pack, const char *text)
{
	return text ? put(pack, text, strlen(text) + 1) : NULL;
}

static char *const *
put_texts(struct pack *pack, char *const *texts)
{
	size_t count = 0;
	char **list;

	while (texts[count])
		count++;
	list = put(pack, texts, (count + 1) * sizeof(*texts));
	for (size_t i = 0; i < count; i++) {
		char *text = put_text(pack, texts[i]);

		if (list)
			list[i] = text;
	}
	return list;
}

static const struct spawn_check *
put_checks(struct pack *pack, const struct spawn_check *checks, size_t count)
{
	struct spawn_check *list = put(pack, checks, count * sizeof(*checks));

	for (size_t i = 0; i < count; i++) {
		const char *path = put_text(pack, checks[i].path);
		const unsigned char *digest = put(pack, checks[i].digest, SPAWN_DIGEST_BYTES);

		if (list) {
			list[i].path = path;
			list[i].digest = digest;
		}
	}
	return list;
}

static const struct spawn_request *
put_request(struct pack *pack, const struct spawn_request *request)
{
	struct spawn_request copy = *request;

	copy.path = put_text(pack, request->path);
	copy.argv = put_texts(pack, request->argv);
	copy.envp = put_texts(pack, request->envp);
	copy.cwd = put_text(pack, request->cwd);
	copy.fds = put(pack, request->fds, request->fd_count * sizeof(*request->fds));
	copy.checks = put_checks(pack, request->checks, request->check_count);
	if (request->sandbox) /* the filter's program is static memory */
		copy.sandbox = put(pack, request->sandbox, sizeof(*request->sandbox));
	return put(pack, &copy, sizeof(copy));
}

static struct spawn_child
put_child(struct pack *pack, const struct spawn_child *child)
{
	struct spawn_child copy = *child;

	copy.request = put_request(pack, child->request);
	copy.oom_score = put_text(pack, child->oom_score);
	return copy;
}

struct spawn_memory *
spawn_memory_new(const struct spawn_child *child)
{
	struct spawn_memory head = {.bytes = 0}, *memory;
	struct pack pack = {NULL, 0};

	put(&pack, &head, sizeof(head));
	put_child(&pack, child);
	head.bytes = pack.used;
	memory = mmap(NULL, head.bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	pack = (struct pack){(char *)memory, 0};
	put(&pack, &head, sizeof(head));
	memory->child = put_child(&pack, child);
	return memory;
}

void
spawn_memory_free(struct spawn_memory *memory)
{
	if (memory)
		munmap(memory, memory->bytes);
}

struct spawn_child *
spawn_memory_child(struct spawn_memory *memory)
{
	return &memory->child;
}

/* ---- the heap ---- */

static uintptr_t heap_from; /* a whole page; 0: nothing is hidden */

static uintptr_t
heap_end(void)
{
	return (uintptr_t)sbrk(0);
}

void
spawn_heap_starts(void)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);

	heap_from = (heap_end() + page - 1) / page * page;
}

/* Where the kernel refuses, the child has a copy, as without it. */
static void
advise(int advice)
{
	uintptr_t end = heap_end();

	if (heap_from && end > heap_from)
		madvise((void *)heap_from, end - heap_from, advice);
}

void
spawn_memory_hide_heap(void)
{
	advise(MADV_DONTFORK);
}

void
spawn_memory_show_heap(void)
{
	advise(MADV_DOFORK);
}
