#include "page.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"
#include "wire.h"

static struct plug_vitals *
map_page(int fd)
{
	struct stat st;
	void *page;

	/* A smaller file would be a SIGBUS at the first store. */
	if (fstat(fd, &st) < 0 || st.st_size < PLUG_VITALS_BYTES)
		return NULL;
	page = mmap(NULL, PLUG_VITALS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	return page == MAP_FAILED ? NULL : page;
}

void
plugp_page_init(struct page *page)
{
	const char *text = getenv(PLUG_ENV_VITALS_FD);
	char *end;
	long fd;

	page->vitals = &page->own;
	if (!text)
		return;
	fd = strtol(text, &end, 10);
	if (end == text || *end || fd < 3 || fd > INT32_MAX)
		return;
	page->vitals = map_page((int)fd);
	if (page->vitals)
		close((int)fd);
	else
		page->vitals = &page->own;
}

void
plugp_page_tick(struct page *page)
{
	page_set(&page->vitals->tick_ns, clock_ns());
	page_add(&page->vitals->ticks, 1);
	page_set(&page->vitals->magic, PLUG_VITALS_MAGIC);
}

void
plugp_page_took(struct page *page, uint64_t took_ns, uint64_t weight)
{
	unsigned at = 0;

	for (took_ns /= PLUG_VITALS_TOOK_NS; took_ns && at < PLUG_VITALS_TOOK - 1; took_ns /= 2)
		at++;
	page_add(&page->vitals->channel_took[at], weight);
}

void
plugp_page_executing(struct page *page, unsigned slot, uint64_t id, uint64_t since_ns,
		     uint64_t deadline_ns)
{
	struct plug_vitals_slot *at = &page->vitals->workers[slot];

	/* A reader never sees an id without its times. */
	page_set(&at->since_ns, since_ns);
	page_set(&page->vitals->worker_deadline_ns[slot],
		 deadline_ns == UINT64_MAX ? 0 : deadline_ns);
	__atomic_store_n(&at->id, id, __ATOMIC_RELEASE);
}

void
plugp_page_idle(struct page *page, unsigned slot)
{
	__atomic_store_n(&page->vitals->workers[slot].id, 0, __ATOMIC_RELEASE);
}
