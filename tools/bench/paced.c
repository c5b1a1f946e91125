#include "paced.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

#include "load_side.h"

#define CALLS_MAX   (16u * 1024 * 1024) /* kept of a plane; memory only for those that were made */
#define IN_FLIGHT   4096                /* a call waits for a place only behind so many */
#define WARM_UP_NS  500000000           /* the channel is opened meanwhile */
#define DURATION_NS UINT64_C(3600000000000)
#define STEP_NS     1000000

/* ---- while they call ---- */

static void
on_call(void *user, plug_err outcome, uint64_t due_ns, uint64_t end_ns)
{
	struct paced_plane *plane = user;
	size_t count = atomic_load_explicit(&plane->count, memory_order_relaxed);

	if (outcome)
		return;
	if (count == CALLS_MAX)
		bench_die("more than %u calls of a plane", CALLS_MAX);
	plane->calls[count] = (struct paced_call){due_ns, end_ns};
	atomic_store_explicit(&plane->count, count + 1, memory_order_release);
}

static void *
plane_main(void *arg)
{
	struct paced_plane *plane = arg;

	plane->err = load_round(plane->load, plane->result, plane->why);
	return NULL;
}

static void
plane_open(struct daemon *daemon, const char *plugin, enum load_plane way, double rate,
	   struct paced_plane *ret)
{
	struct load_plan plan = load_side_plan(daemon, plugin, way);

	plan.in_flight = IN_FLIGHT;
	plan.rate = rate;
	plan.count = 0;
	plan.duration_ns = DURATION_NS;
	plan.warm_up_ns = WARM_UP_NS;
	plan.spin_us = 0; /* it rests between two calls, as the control does */
	plan.plugin_pid = plan.plugd_pid = 0;
	plan.on_call = on_call;
	plan.user = ret;
	ret->result = calloc(1, sizeof(*ret->result));
	ret->calls = mmap(NULL, CALLS_MAX * sizeof(*ret->calls), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (!ret->result || ret->calls == MAP_FAILED)
		bench_die("out of memory");
	if (load_open(&plan, &ret->load, ret->why))
		bench_die("%s: %s", plugin, ret->why);
}

static void
plane_start(struct paced_plane *plane)
{
	int failed = pthread_create(&plane->thread, NULL, plane_main, plane);

	if (failed)
		bench_die("no thread: %s", strerror(failed));
}

static bool
has_answered(struct paced_plane *plane, uint64_t due_ns)
{
	size_t count = atomic_load_explicit(&plane->count, memory_order_acquire);

	return count && plane->calls[count - 1].due_ns >= due_ns;
}

static void
plane_await(struct paced_plane *plane, uint64_t due_ns)
{
	const struct timespec step = {.tv_nsec = STEP_NS};

	while (!has_answered(plane, due_ns)) {
		if (pthread_tryjoin_np(plane->thread, NULL) == 0)
			bench_die("paced calls: %s", plane->why);
		nanosleep(&step, NULL);
	}
}

void
paced_start(struct daemon *daemon, const char *plugin, struct paced *ret)
{
	memset(ret, 0, sizeof(*ret));
	plane_open(daemon, plugin, LOAD_AUTO, PACED_DATA_RATE, &ret->planes[PACED_DATA]);
	plane_open(daemon, plugin, LOAD_CONTROL, PACED_CONTROL_RATE, &ret->planes[PACED_CONTROL]);
	pacer_start(daemon->bench, (double[]){PACED_DATA_RATE, PACED_CONTROL_RATE}, &ret->pacer);
	for (unsigned i = 0; i < PACED_PLANES; i++)
		plane_start(&ret->planes[i]);
	paced_await(ret, 0);
}

void
paced_await(struct paced *paced, uint64_t due_ns)
{
	for (unsigned i = 0; i < PACED_PLANES; i++)
		plane_await(&paced->planes[i], due_ns);
}

void
paced_stop(struct paced *paced)
{
	for (unsigned i = 0; i < PACED_PLANES; i++)
		load_end_round(paced->planes[i].load);
	for (unsigned i = 0; i < PACED_PLANES; i++) {
		struct paced_plane *plane = &paced->planes[i];

		pthread_join(plane->thread, NULL);
		if (plane->err)
			bench_die("paced calls: %s", plane->why);
	}
	pacer_stop(&paced->pacer, paced->beats);
	for (unsigned i = 0; i < PACED_PLANES; i++)
		for (size_t k = 0; k < paced->beats[i].count; k++)
			histogram_add(&paced->late[i], paced->beats[i].beats[k].end_ns -
							       paced->beats[i].beats[k].due_ns);
}

void
paced_close(struct paced *paced)
{
	for (unsigned i = 0; i < PACED_PLANES; i++) {
		load_close(paced->planes[i].load);
		free(paced->planes[i].result);
		munmap(paced->planes[i].calls, CALLS_MAX * sizeof(struct paced_call));
		free(paced->beats[i].beats);
	}
}

/* ---- windows ---- */

void
paced_window_begin(struct paced *paced)
{
	if (paced->window_count == PACED_WINDOWS_MAX)
		bench_die("more than %d windows", PACED_WINDOWS_MAX);
	paced->windows[paced->window_count++] = (struct paced_window){bench_now_ns(), UINT64_MAX};
}

void
paced_window_end(struct paced *paced)
{
	paced->windows[paced->window_count - 1].end_ns = bench_now_ns();
}

/* The first window that ends after the call was due; window_count: it was the last. */
static size_t
find_window(const struct paced *paced, const struct paced_call *call)
{
	size_t low = 0, high = paced->window_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (paced->windows[middle].end_ns < call->due_ns)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void
split(const struct paced *paced, const struct paced_call *calls, size_t count,
      const struct paced_part *part, struct paced_halves *ret)
{
	for (size_t i = 0; i < count; i++) {
		size_t window = find_window(paced, &calls[i]);
		bool is_last = window == paced->window_count;
		bool is_within = !is_last && paced->windows[window].begin_ns <= calls[i].end_ns;
		uint64_t took_ns = calls[i].end_ns - calls[i].due_ns;

		window -= is_last; /* what comes after the last belongs to it, too */
		if (window >= part->begin && window < part->end)
			histogram_add(is_within ? &ret->within : &ret->without, took_ns);
	}
}

void
paced_split(const struct paced *paced, enum paced_plane_name name, const struct paced_part *part,
	    struct paced_halves *ret)
{
	memset(ret, 0, sizeof(*ret));
	split(paced, paced->planes[name].calls, paced->planes[name].count, part, ret);
}

void
paced_split_beats(const struct paced *paced, enum paced_plane_name name,
		  const struct paced_part *part, struct paced_halves *ret)
{
	memset(ret, 0, sizeof(*ret));
	split(paced, paced->beats[name].beats, paced->beats[name].count, part, ret);
}

/* ---- what came of it ---- */

uint64_t
paced_lost(const struct paced *paced, enum paced_plane_name name, const char **ret_why)
{
	const struct load_result *result = paced->planes[name].result;

	*ret_why = result->failure ? result->failure_text : "";
	return result->calls - result->outcomes[PLUG_OK] + result->unsent;
}

uint64_t
paced_pause_ns(const struct paced *paced, enum paced_plane_name name)
{
	const struct paced_plane *plane = &paced->planes[name];
	uint64_t longest = 0;

	for (size_t i = 1; i < plane->count; i++)
		if (plane->calls[i].end_ns - plane->calls[i - 1].end_ns > longest)
			longest = plane->calls[i].end_ns - plane->calls[i - 1].end_ns;
	return longest;
}
