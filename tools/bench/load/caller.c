#include "internal.h"

#include <errno.h>
#include <stdio.h>

/* ---- when ---- */

uint64_t
load_due_ns(const struct load_caller *caller)
{
	const struct load_span *span = &caller->span;

	if (span->interval_ns <= 0.)
		return 0;
	return span->begin_ns +
	       (uint64_t)(span->offset_ns + span->interval_ns * (double)caller->issued);
}

uint64_t
load_end_ns(const struct load_caller *caller)
{
	uint64_t ended_ns = UINT64_MAX;

	if (caller->counts)
		ended_ns = atomic_load_explicit(&caller->load->end_ns, memory_order_relaxed);
	return ended_ns < caller->span.end_ns ? ended_ns : caller->span.end_ns;
}

/* What was due before a round was ended is still sent; a span of a given length ends on time. */
bool
load_more(const struct load_caller *caller, uint64_t now_ns)
{
	uint64_t end_ns = load_end_ns(caller), due_ns = load_due_ns(caller);

	return !caller->hopeless && caller->issued < caller->span.quota &&
	       now_ns < caller->span.end_ns && (due_ns ? due_ns : now_ns) < end_ns;
}

void
load_sleep_until(uint64_t ns)
{
	struct timespec at = {.tv_sec = (time_t)(ns / 1000000000u),
			      .tv_nsec = (long)(ns % 1000000000u)};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

/* ---- what came of it ---- */

void
load_note(struct load_caller *caller, plug_err outcome, uint64_t start_ns, uint64_t end_ns)
{
	const struct load_plan *plan = &caller->load->plan;
	unsigned number = (unsigned)outcome;

	caller->result->outcomes[number < LOAD_OUTCOMES ? number : LOAD_OUTCOMES - 1]++;
	if (outcome == PLUG_OK)
		histogram_add(&caller->result->latency, end_ns > start_ns ? end_ns - start_ns : 0);
	if (caller->counts && plan->on_call)
		plan->on_call(plan->user, outcome, start_ns, end_ns);
}

/* The next call would fail in the same way. */
static bool
is_hopeless(plug_err outcome)
{
	switch (outcome) {
	case PLUG_EINVAL:
	case PLUG_EPROTO:
	case PLUG_ETOOLARGE:
	case PLUG_ENOTFOUND:
	case PLUG_ENOMETHOD:
	case PLUG_EDENIED:
	case PLUG_EUNREACHABLE:
	case PLUG_EVERSION:
		return true;
	default:
		return false;
	}
}

void
load_note_failure(struct load_caller *caller, plug_err outcome, const char *text)
{
	struct load_result *result = caller->result;

	if (is_hopeless(outcome))
		caller->hopeless = true;
	if (result->failure != PLUG_OK && !caller->hopeless)
		return;
	result->failure = outcome;
	snprintf(result->failure_text, sizeof(result->failure_text), "%s",
		 text && *text ? text : plug_err_text(outcome));
}

plug_err
load_check_reply(struct load_caller *caller, const struct plug_reply *reply)
{
	uint64_t sent = caller->request.payload.size, sent_tensor = caller->load->plan.tensor_bytes;
	uint64_t tensor = reply->tensor_count ? plug_tensor_bytes(reply->tensors) : 0;
	char text[160];

	if (!caller->load->plan.check_size ||
	    (reply->payload.size == sent && tensor == sent_tensor))
		return PLUG_OK;
	snprintf(text, sizeof(text),
		 "%zu bytes and %llu of a tensor came back; %llu and %llu were sent",
		 reply->payload.size, (unsigned long long)tensor, (unsigned long long)sent,
		 (unsigned long long)sent_tensor);
	load_note_failure(caller, PLUG_EPROTO, text);
	return PLUG_EPROTO;
}

/* ---- blocking calls ---- */

static plug_err
call(struct load_caller *caller)
{
	struct plug_reply *reply = NULL;
	plug_err err;

	load_tensor_fill(caller);
	err = plug_client_call(caller->client, &caller->request, NULL, NULL, &reply);
	if (err) {
		load_note_failure(caller, err,
				  reply ? reply->message : plug_client_error_text(caller->client));
	} else {
		load_tensor_read(caller, reply);
		err = load_check_reply(caller, reply);
	}
	plug_reply_free(reply);
	return err;
}

void
load_call_blocking(struct load_caller *caller)
{
	uint64_t now_ns = load_now_ns();

	while (load_more(caller, now_ns)) {
		uint64_t due_ns = load_due_ns(caller), start_ns = now_ns;
		plug_err err;

		if (due_ns > now_ns)
			load_sleep_until(due_ns);
		if (due_ns) {
			start_ns = due_ns;
			histogram_add(&caller->result->late, load_now_ns() - due_ns);
		}
		caller->issued++;
		err = call(caller);
		now_ns = load_now_ns();
		load_note(caller, err, start_ns, now_ns);
	}
}
