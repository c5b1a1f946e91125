#include "walk.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <stdbool.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>
#include <unwind.h>

struct walk {
	struct plug_trace *trace;
	uintptr_t from; /* the frames before this one are the handler's; 0: take all */
};

/* Static: the stack of a handler may be small. */
static char program[PLUG_TRACE_PATH];
static uint64_t page_bytes;
static const struct link_map *seen[PLUG_TRACE_MODULES];

/* 0: not known on this machine. */
static uintptr_t
pc_of(const void *context)
{
#if defined(__x86_64__)
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RIP];
#elif defined(__aarch64__)
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.pc;
#else
	(void)context;
	return 0;
#endif
}

/* Whose call the jump was, while nothing has been done since. */
static uintptr_t
caller_of(const void *context)
{
#if defined(__x86_64__)
	return *(const uintptr_t *)((const ucontext_t *)context)->uc_mcontext.gregs[REG_RSP];
#elif defined(__aarch64__)
	return (uintptr_t)((const ucontext_t *)context)->uc_mcontext.regs[30];
#else
	(void)context;
	return 0;
#endif
}

static void
copy_path(char to[PLUG_TRACE_PATH], const char *path)
{
	size_t length = strlen(path);

	if (length >= PLUG_TRACE_PATH)
		path += length - (PLUG_TRACE_PATH - 1);
	memcpy(to, path, length < PLUG_TRACE_PATH ? length + 1 : PLUG_TRACE_PATH);
}

/* The second number of statm, in pages. */
static uint64_t
resident(void)
{
	int fd = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
	char text[64];
	uint64_t pages = 0;
	ssize_t got, at = 0;

	if (fd < 0)
		return 0;
	got = read(fd, text, sizeof(text));
	close(fd);
	while (at < got && text[at] != ' ')
		at++;
	for (at++; at < got && text[at] >= '0' && text[at] <= '9'; at++)
		pages = pages * 10 + (uint64_t)(text[at] - '0');
	return pages * page_bytes;
}

static uint32_t
module_of(struct plug_trace *trace, const struct link_map *map)
{
	uint32_t at = 0;

	while (at < trace->module_count && seen[at] != map)
		at++;
	if (at == trace->module_count && at < PLUG_TRACE_MODULES) {
		seen[at] = map;
		copy_path(trace->modules[at], *map->l_name ? map->l_name : program);
		trace->module_count++;
	}
	return at;
}

static void
add_frame(struct plug_trace *trace, uintptr_t pc)
{
	struct plug_trace_frame frame = {.offset = pc, .module = PLUG_TRACE_MODULES};
	struct dl_find_object object;

	if (!_dl_find_object((void *)pc, &object)) { /* NOLINT: an address, not an object */
		frame.module = module_of(trace, object.dlfo_link_map);
		if (frame.module < PLUG_TRACE_MODULES)
			frame.offset = pc - object.dlfo_link_map->l_addr;
	}
	trace->frames[trace->frame_count++] = frame;
}

static _Unwind_Reason_Code
on_frame(struct _Unwind_Context *context, void *user)
{
	struct walk *walk = user;
	int exact = 0;
	uintptr_t pc = _Unwind_GetIPInfo(context, &exact);

	if (!pc || walk->trace->frame_count == PLUG_TRACE_FRAMES)
		return _URC_END_OF_STACK;
	if (walk->from && pc != walk->from)
		return _URC_NO_REASON;
	walk->from = 0;
	add_frame(walk->trace, exact ? pc : pc - 1); /* a return address is behind its call */
	return _URC_NO_REASON;
}

void
plugp_walk(struct plug_trace *trace, const void *context)
{
	struct walk walk = {trace, pc_of(context)};

	_Unwind_Backtrace(on_frame, &walk);
}

void
plugp_walk_jump(struct plug_trace *trace, const void *context)
{
	uintptr_t from;

	if (pc_of(context))
		add_frame(trace, pc_of(context));
	from = caller_of(context);
	if (from)
		add_frame(trace, from - 1);
}

void
plugp_walk_begin(struct plug_trace *trace, int number, const siginfo_t *info)
{
	trace->magic = PLUG_TRACE_MAGIC;
	trace->signal = number;
	trace->code = info->si_code;
	trace->self = getpid();
	if (info->si_code > 0)
		trace->address = (uintptr_t)info->si_addr;
	else
		trace->sender = info->si_pid;
	trace->resident = resident();
	trace->thread = (int32_t)syscall(SYS_gettid);
	prctl(PR_GET_NAME, trace->thread_name);
}

void
plugp_walk_init(void)
{
	static struct plug_trace nowhere;
	struct walk walk = {&nowhere, 0};
	ssize_t length = readlink("/proc/self/exe", program, sizeof(program) - 1);

	page_bytes = (uint64_t)sysconf(_SC_PAGESIZE);
	if (length < 0)
		copy_path(program, program_invocation_name);
	_Unwind_Backtrace(on_frame, &walk);
	memset(seen, 0, sizeof(seen));
}
