#include "serve/probe.h"

#include "serve/router_private.h"

/* It is told before the process that it was sent to is released. */
void
probe_on_outcome(struct relay *relay, plug_err outcome, const char *message)
{
	instance_probed(relay->instance, outcome, message);
}

void
probe_instance(struct router *router, struct instance *in)
{
	Plug__Call call = PLUG__CALL__INIT;
	uint64_t timeout_ms = in->spec->debug ? SPEC_DEBUG_MS : in->spec->probe_timeout_ms;
	struct relay *relay;

	call.method = (char *)in->spec->probe_method;
	if (relay_new(router, in->plugin, &call, &relay)) {
		instance_probed(in, PLUG_ENOMEM, plug_err_text(PLUG_ENOMEM));
		return;
	}
	if (relay_add_part(relay, NULL, 0, 0)) {
		relay_free(relay);
		instance_probed(in, PLUG_ENOMEM, plug_err_text(PLUG_ENOMEM));
		return;
	}
	relay->instance = in;
	relay->on_outcome = probe_on_outcome;
	relay->deadline_ns = relay->started_ns + timeout_ms * 1000000u;
	relay_arm(relay, (double)timeout_ms / 1e3);
	router_send(relay, in);
}
