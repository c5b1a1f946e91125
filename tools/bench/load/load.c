/*
 * A round: the callers warm up, meet at the gate while counters and clocks are read, load, and
 * end.  What they did is merged when they have ended.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "internal.h"

#define STACK_BYTES     (512u * 1024)
#define CHANNEL_WAIT_NS UINT64_C(3000000000) /* for the first channel, calling meanwhile */
#define CHANNEL_STEP_NS UINT64_C(10000000)

static plug_err
refuse(char why[LOAD_WHY_BYTES], plug_err err, const char *text)
{
	snprintf(why, LOAD_WHY_BYTES, "%s", text);
	return err;
}

/* ---- a caller's thread ---- */

/* Wait until it is opened; false: to go home. */
static bool
gate_pass(struct load_gate *gate)
{
	bool pass;

	pthread_mutex_lock(&gate->lock);
	gate->arrived++;
	pthread_cond_broadcast(&gate->moved);
	while (gate->state == GATE_SHUT)
		pthread_cond_wait(&gate->moved, &gate->lock);
	pass = gate->state == GATE_OPEN;
	pthread_mutex_unlock(&gate->lock);
	return pass;
}

static void
run_span(struct load_caller *caller, const struct load_span *span)
{
	caller->span = *span;
	caller->issued = 0;
	if (caller->load->plan.in_flight)
		load_call_in_flight(caller);
	else
		load_call_blocking(caller);
}

static struct load_span
paced_span(const struct load_caller *caller, uint64_t begin_ns)
{
	const struct load_plan *plan = &caller->load->plan;
	struct load_span span = {.begin_ns = begin_ns, .end_ns = UINT64_MAX, .quota = UINT64_MAX};

	if (plan->rate > 0.) {
		span.interval_ns = 1e9 * plan->callers / plan->rate;
		span.offset_ns = 1e9 * caller->index / plan->rate;
	}
	return span;
}

static void
warm_up(struct load_caller *caller)
{
	uint64_t now_ns = load_now_ns(), limit_ns = now_ns + CHANNEL_WAIT_NS;
	struct load_span span = paced_span(caller, now_ns);

	span.end_ns = now_ns + caller->load->plan.warm_up_ns;
	run_span(caller, &span);
	if (caller->load->plan.plane != LOAD_DATA)
		return;
	while (!caller->hopeless && !load_plane_ready(caller->client) &&
	       (now_ns = load_now_ns()) < limit_ns) {
		span = paced_span(caller, now_ns);
		span.end_ns = now_ns + CHANNEL_STEP_NS;
		run_span(caller, &span);
	}
}

static uint64_t
unsent(const struct load_caller *caller)
{
	const struct load_span *span = &caller->span;
	uint64_t end_ns = load_end_ns(caller), due;
	double length_ns;

	if (span->interval_ns <= 0. || end_ns == UINT64_MAX || end_ns < span->begin_ns)
		return 0;
	length_ns = (double)(end_ns - span->begin_ns) - span->offset_ns;
	due = length_ns > 0. ? (uint64_t)ceil(length_ns / span->interval_ns) : 0;
	return due > caller->issued ? due - caller->issued : 0;
}

static void
measure(struct load_caller *caller)
{
	const struct load_plan *plan = &caller->load->plan;
	struct load_span span = paced_span(caller, caller->load->begin_ns);

	if (plan->count)
		span.quota =
			plan->count / plan->callers + (caller->index < plan->count % plan->callers);
	else
		span.end_ns = span.begin_ns + plan->duration_ns;
	caller->counts = true;
	run_span(caller, &span);
	caller->result->unsent = unsent(caller);
	caller->counts = false;
}

static void *
caller_main(void *arg)
{
	struct load_caller *caller = arg;
	struct load_result *result = caller->result;
	struct load_gate *gate = &caller->load->gate;

	prctl(PR_SET_TIMERSLACK, 1ul); /* a call that is due is not to wait for others' timers */
	warm_up(caller);
	if (!gate_pass(gate) || caller->hopeless)
		return NULL; /* its result is why the round fails */
	memset(result, 0, sizeof(*result));
	measure(caller);
	result->elapsed_ns = load_now_ns() - caller->load->begin_ns;
	return NULL;
}

/* ---- a round ---- */

/* Wait for so many. */
static void
gate_await(struct load_gate *gate, unsigned arrivals)
{
	pthread_mutex_lock(&gate->lock);
	while (gate->arrived < arrivals)
		pthread_cond_wait(&gate->moved, &gate->lock);
	pthread_mutex_unlock(&gate->lock);
}

static void
gate_open(struct load_gate *gate, bool go_home)
{
	pthread_mutex_lock(&gate->lock);
	gate->state = go_home ? GATE_HOME : GATE_OPEN;
	pthread_cond_broadcast(&gate->moved);
	pthread_mutex_unlock(&gate->lock);
}

/* What grows while the callers load. */
struct meters {
	double cpu_ns[LOAD_SIDES];
	struct load_counters counters;
};

static struct meters
read_meters(const struct load *load)
{
	struct meters meters = {.cpu_ns = {
					[LOAD_CALLER] = load_cpu_self_ns(),
					[LOAD_PLUGIN] = load_cpu_ns(load->plan.plugin_pid),
					[LOAD_PLUGD] = load_cpu_ns(load->plan.plugd_pid),
				}};

	for (unsigned i = 0; i < load->handle_count; i++)
		load_plane_count(load->handles[i], &meters.counters);
	return meters;
}

static unsigned
start_callers(struct load *load)
{
	pthread_attr_t attributes;
	unsigned started = 0;

	pthread_attr_init(&attributes);
	pthread_attr_setstacksize(&attributes, STACK_BYTES);
	for (; started < load->plan.callers; started++) {
		struct load_caller *caller = &load->callers[started];

		caller->hopeless = false;
		caller->result = calloc(1, sizeof(*caller->result));
		if (!caller->result ||
		    pthread_create(&caller->thread, &attributes, caller_main, caller)) {
			free(caller->result);
			break;
		}
	}
	pthread_attr_destroy(&attributes);
	return started;
}

static void
merge(struct load_result *all, const struct load_result *one)
{
	histogram_merge(&all->latency, &one->latency);
	histogram_merge(&all->late, &one->late);
	for (unsigned i = 0; i < LOAD_OUTCOMES; i++) {
		all->outcomes[i] += one->outcomes[i];
		all->calls += one->outcomes[i];
	}
	all->unsent += one->unsent;
	if (one->elapsed_ns > all->elapsed_ns)
		all->elapsed_ns = one->elapsed_ns;
	if (all->failure == PLUG_OK && one->failure != PLUG_OK) {
		all->failure = one->failure;
		memcpy(all->failure_text, one->failure_text, sizeof(all->failure_text));
	}
}

/* Wait for the callers; true: one of them had no hope. */
static bool
collect(struct load *load, unsigned started, struct load_result *ret)
{
	bool hopeless = false;

	for (unsigned i = 0; i < started; i++) {
		struct load_caller *caller = &load->callers[i];

		pthread_join(caller->thread, NULL);
		if (caller->hopeless && !hopeless) {
			ret->failure = PLUG_OK; /* theirs is the reason */
			hopeless = true;
		}
		merge(ret, caller->result);
		free(caller->result);
	}
	return hopeless;
}

/* Is what was measured what was asked for? */
static plug_err
judge(const struct load *load, const struct load_result *result, char why[LOAD_WHY_BYTES])
{
	const struct load_counters *planes = &result->planes;

	if (load->plan.plane != LOAD_DATA || !planes->control_calls)
		return PLUG_OK;
	snprintf(why, LOAD_WHY_BYTES,
		 "%llu calls went over channels and %llu through plugd: that is no figure of the "
		 "data plane; --plane auto shows it as it is",
		 (unsigned long long)planes->data_calls, (unsigned long long)planes->control_calls);
	return PLUG_ESTATE;
}

/* No channel came: why, in the words of the first call that failed. */
static plug_err
no_channel(const struct load *load, char why[LOAD_WHY_BYTES])
{
	for (unsigned i = 0; i < load->plan.callers; i++) {
		const struct load_result *result = load->callers[i].result;

		if (result->failure)
			return refuse(why, result->failure, result->failure_text);
	}
	return refuse(why, PLUG_EUNAVAILABLE, "no channel to the plugin was opened");
}

/* Whether the callers, who have warmed up, are to go on. */
static plug_err
may_measure(const struct load *load, unsigned started, char why[LOAD_WHY_BYTES])
{
	if (started < load->plan.callers)
		return refuse(why, PLUG_ENOMEM, "so many threads cannot be started");
	for (unsigned i = 0; load->plan.plane == LOAD_DATA && i < load->handle_count; i++)
		if (!load_plane_ready(load->handles[i]))
			return no_channel(load, why);
	return PLUG_OK;
}

plug_err
load_round(struct load *load, struct load_result *ret, char why[LOAD_WHY_BYTES])
{
	struct meters before, after;
	unsigned started;
	plug_err err;

	memset(ret, 0, sizeof(*ret));
	load->gate.arrived = 0;
	load->gate.state = GATE_SHUT;
	atomic_store(&load->end_ns, UINT64_MAX);
	started = start_callers(load);
	gate_await(&load->gate, started);
	err = may_measure(load, started, why);
	before = read_meters(load);
	load->begin_ns = load_now_ns();
	gate_open(&load->gate, err != PLUG_OK);
	if (collect(load, started, ret))
		return refuse(why, ret->failure, ret->failure_text);
	if (err)
		return err;
	after = read_meters(load);
	for (unsigned i = 0; i < LOAD_SIDES; i++)
		ret->cpu_ns[i] = after.cpu_ns[i] - before.cpu_ns[i];
	ret->planes = load_counters_since(&after.counters, &before.counters);
	return judge(load, ret, why);
}

void
load_end_round(struct load *load)
{
	atomic_store(&load->end_ns, load_now_ns());
}

double
load_calls_per_s(const struct load_result *result)
{
	return result->elapsed_ns
		       ? (double)result->outcomes[PLUG_OK] * 1e9 / (double)result->elapsed_ns
		       : NAN;
}

/* ---- life ---- */

static const char *
fault_of(const struct load_plan *plan)
{
	if (plan->callers < 1 || plan->callers > LOAD_CALLERS_MAX)
		return "callers: expected 1 to 1024";
	if (plan->in_flight > LOAD_IN_FLIGHT_MAX / plan->callers)
		return "calls under way: expected at most 65536 of all callers together";
	if (!plan->count && !plan->duration_ns)
		return "neither a number of calls nor a duration";
	if (plan->count && plan->count < plan->callers)
		return "fewer calls than callers";
	if (plan->tensor_bytes && plan->plane == LOAD_CONTROL)
		return "tensors go over channels only";
	if (plan->touch && plan->in_flight)
		return "tensors are filled and read by blocking calls only";
	if (plan->rate < 0. || plan->rate > 1e9)
		return "the rate: expected at most 1000000000 calls a second";
	return NULL;
}

static plug_err
open_handles(struct load *load, char why[LOAD_WHY_BYTES])
{
	const struct load_plan *plan = &load->plan;
	unsigned wanted = plan->in_flight ? plan->callers : plan->handles ? plan->handles : 1;

	load->handles = calloc(wanted, sizeof(*load->handles));
	if (!load->handles)
		return refuse(why, PLUG_ENOMEM, "out of memory");
	for (; load->handle_count < wanted; load->handle_count++) {
		plug_err err = load_plane_open(plan->runtime_dir, plan->plane, plan->spin_us,
					       &load->handles[load->handle_count]);

		if (err)
			return refuse(why, err, plug_client_error_text(NULL));
	}
	return PLUG_OK;
}

static plug_err
make_slots(struct load_caller *caller, unsigned count)
{
	caller->slots = calloc(count, sizeof(*caller->slots));
	if (!caller->slots)
		return PLUG_ENOMEM;
	for (unsigned i = 0; i < count; i++) {
		caller->slots[i] = (struct load_slot){.caller = caller, .next = caller->idle};
		caller->idle = &caller->slots[i];
	}
	return PLUG_OK;
}

static plug_err
make_callers(struct load *load, char why[LOAD_WHY_BYTES])
{
	const struct load_plan *plan = &load->plan;
	plug_err err;

	load->callers = calloc(plan->callers, sizeof(*load->callers));
	if (!load->callers)
		return refuse(why, PLUG_ENOMEM, "out of memory");
	for (unsigned i = 0; i < plan->callers; i++) {
		struct load_caller *caller = &load->callers[i];

		caller->load = load;
		caller->index = i;
		caller->client = load->handles[i % load->handle_count];
		caller->request = (struct plug_request){.size = sizeof(caller->request),
							.plugin = plan->plugin,
							.method = plan->method,
							.payload = plan->payload,
							.timeout_ms = plan->timeout_ms};
		if (plan->plane == LOAD_DATA)
			caller->request.flags = PLUG_REQUEST_CHANNEL;
		if (plan->in_flight && make_slots(caller, plan->in_flight))
			return refuse(why, PLUG_ENOMEM, "out of memory");
		err = load_tensor_init(caller, why);
		if (err)
			return err;
	}
	return PLUG_OK;
}

plug_err
load_open(const struct load_plan *plan, struct load **ret, char why[LOAD_WHY_BYTES])
{
	const char *fault = fault_of(plan);
	struct load *load;
	plug_err err;

	if (fault)
		return refuse(why, PLUG_EINVAL, fault);
	load = calloc(1, sizeof(*load));
	if (!load)
		return refuse(why, PLUG_ENOMEM, "out of memory");
	load->plan = *plan;
	pthread_mutex_init(&load->gate.lock, NULL);
	pthread_cond_init(&load->gate.moved, NULL);
	err = open_handles(load, why);
	if (!err)
		err = make_callers(load, why);
	if (err) {
		load_close(load);
		return err;
	}
	*ret = load;
	return PLUG_OK;
}

void
load_set_count(struct load *load, uint64_t count)
{
	load->plan.count = count;
}

void
load_close(struct load *load)
{
	if (!load)
		return;
	for (unsigned i = 0; load->callers && i < load->plan.callers; i++) {
		load_tensor_fini(&load->callers[i]);
		free(load->callers[i].slots);
	}
	for (unsigned i = 0; i < load->handle_count; i++)
		plug_client_close(load->handles[i]);
	pthread_cond_destroy(&load->gate.moved);
	pthread_mutex_destroy(&load->gate.lock);
	free(load->callers);
	free(load->handles);
	free(load);
}
