/* crashes: why processes died. */
#include "os/exit_status.h"
#include "plugin/backtrace.h"
#include "serve/control_private.h"

static void
fill_crash_calls(Plug__Crash *message, struct crash *crash, struct arena *arena)
{
	size_t count = crash->call_count < CRASH_CALLS ? crash->call_count : CRASH_CALLS;
	MAKE_LIST(arena, Plug__CallInFlight, count, items, pointers);

	if (!items || !pointers)
		return;
	message->calls = pointers;
	for (size_t i = 0; i < count; i++) {
		plug__call_in_flight__init(&items[i]);
		items[i].id = crash->calls[i].id;
		items[i].method = crash->calls[i].method;
		items[i].age_ms = crash->calls[i].age_ms;
		items[i].hung = crash->calls[i].hung;
		items[i].executing = crash->calls[i].executing;
		pointers[message->n_calls++] = &items[i];
	}
}

static void
fill_trace(Plug__Crash *message, struct plug_trace *trace, struct arena *arena)
{
	char origin[BACKTRACE_ORIGIN_BYTES];
	MAKE_LIST(arena, Plug__Frame, trace->frame_count, items, pointers);

	message->origin = arena_strdup(arena, backtrace_origin(trace, origin));
	message->thread = trace->thread;
	message->thread_name = trace->thread_name;
	if (!items || !pointers)
		return;
	message->backtrace = pointers;
	for (uint32_t i = 0; i < trace->frame_count; i++) {
		const struct plug_trace_frame *frame = &trace->frames[i];

		plug__frame__init(&items[i]);
		if (frame->module < trace->module_count)
			items[i].module = trace->modules[frame->module];
		items[i].offset = frame->offset;
		pointers[message->n_backtrace++] = &items[i];
	}
}

static void
fill_crash(Plug__Crash *message, const struct plugin *plugin, struct crash *crash,
	   struct arena *arena)
{
	char name[SIGNAL_NAME_BYTES] = "";

	plug__crash__init(message);
	if (crash->status.signal)
		signal_name(crash->status.signal, name, sizeof(name));
	message->plugin = (char *)plugin_name(plugin);
	message->time_ms = crash->time_ms;
	message->pid = crash->pid;
	message->generation = crash->generation;
	message->exit_code = crash->status.signal ? 0 : crash->status.code;
	message->signal = crash->status.signal;
	message->signal_name = arena_strdup(arena, name);
	message->reason = crash->reason;
	message->uptime_ms = crash->uptime_ms;
	message->state = (char *)crash->state;
	message->last_log = crash->log;
	message->n_last_log = crash->log_count;
	message->rss_bytes = crash->rss_bytes;
	message->decision = crash->decision;
	message->retry_in_ms = crash->retry_in_ms;
	message->core_dumped = crash->status.core_dumped;
	message->channel_calls = crash->channel_calls;
	message->core_file = crash->core_path;
	message->core_note = crash->core_note;
	message->peak_rss_bytes = crash->peak_bytes;
	message->rss_age_ms = crash->rss_age_ms;
	fill_crash_calls(message, crash, arena);
	if (crash->trace)
		fill_trace(message, crash->trace, arena);
}

static void
send_crash(const struct control_ctx *ctx, const struct plugin *plugin, struct crash *crash,
	   bool more)
{
	Plug__Crashes crashes = PLUG__CRASHES__INIT;
	Plug__Crash message, *list[1] = {&message};
	Plug__Response response = PLUG__RESPONSE__INIT;
	struct arena arena;

	arena_init(&arena, CONTROL_ARENA_BYTES);
	if (crash) {
		fill_crash(&message, plugin, crash, &arena);
		crashes.crashes = list;
		crashes.n_crashes = 1;
	}
	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_CRASHES;
	response.crashes = &crashes;
	while (control_answer(ctx->client, ctx->id, &response) == PLUG_ETOOLARGE &&
	       message.n_last_log)
		message.n_last_log /= 2; /* twenty lines of 8 KiB are more than one message holds */
	arena_fini(&arena);
}

static void
send_crashes(const struct control_ctx *ctx, struct plugin *plugin)
{
	LIST_FOREACH (crash, &plugin->crashes.list, struct crash, node)
		send_crash(ctx, plugin, crash, true);
}

void
control_crashes(const struct control_ctx *ctx, const Plug__CrashesRequest *request)
{
	if (*plug_str(request->name)) {
		struct plugin *plugin = control_plugin(ctx, request->name);

		if (!plugin)
			return;
		send_crashes(ctx, plugin);
	} else {
		LIST_FOREACH (plugin, &ctx->control->registry->plugins, struct plugin, node)
			send_crashes(ctx, plugin);
	}
	send_crash(ctx, NULL, NULL, false);
}
