/* logs and events: what is remembered, and what follows. */
#include <string.h>

#include "serve/answer.h"
#include "serve/control_private.h"

#define LINES_AT_A_TIME  64
#define EVENTS_AT_A_TIME 64
#define FOLLOW_QUEUE \
	(256u * 1024) /* a follower that reads slower than this loses lines, not its connection */

/* ---- logs ---- */

struct log_batch {
	Plug__LogLine lines[LINES_AT_A_TIME], *list[LINES_AT_A_TIME];
	char texts[CONTROL_BATCH_BYTES];
	size_t used, count;
	uint64_t dropped;
};

static void
send_batch(struct client *client, uint64_t id, struct log_batch *batch, bool more)
{
	Plug__LogLines lines = PLUG__LOG_LINES__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;

	lines.lines = batch->list;
	lines.n_lines = batch->count;
	lines.dropped = batch->dropped;
	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_LOGS;
	response.logs = &lines;
	control_answer(client, id, &response);
	batch->count = batch->used = 0;
	batch->dropped = 0;
}

static bool
has_space(const struct log_batch *batch, const struct logring_line *line)
{
	return batch->count < LINES_AT_A_TIME &&
	       batch->used + line->length + 64 < sizeof(batch->texts);
}

static char *
copy_text(struct log_batch *batch, const struct logring_line *line)
{
	char *copy = batch->texts + batch->used;

	memcpy(copy, line->text, line->length);
	copy[line->length] = '\0';
	batch->used += line->length + 1;
	return copy;
}

static void
add_line(struct log_batch *batch, const struct logring_line *line)
{
	Plug__LogLine *message = &batch->lines[batch->count];

	plug__log_line__init(message);
	message->time_ms = line->time_ms;
	message->stream = (char *)output_stream_name(line->stream);
	message->level = line->level;
	message->text = copy_text(batch, line);
	message->generation = line->generation;
	message->pid = line->pid;
	batch->list[batch->count++] = message;
	batch->used += 64; /* what surrounds the text on the wire */
}

static void
on_line(struct output_follower *follower, const struct logring_line *line)
{
	static struct log_batch batch; /* one thread */
	struct log_follower *lf = CONTAINER_OF(follower, struct log_follower, follower);

	if (client_queued_bytes(lf->ticket.client) > FOLLOW_QUEUE) {
		lf->dropped++;
		return;
	}
	batch.count = batch.used = 0;
	batch.dropped = lf->dropped;
	lf->dropped = 0;
	add_line(&batch, line);
	send_batch(lf->ticket.client, lf->ticket.id, &batch, true);
}

static void
log_follower_end(struct ticket *ticket)
{
	struct log_follower *lf = CONTAINER_OF(ticket, struct log_follower, ticket);

	output_unfollow(&lf->follower);
	ticket_close(&lf->ticket);
	free(lf);
}

static void
on_log_cancel(struct ticket *ticket)
{
	answer_request(ticket->client, ticket->id, PLUG_OK, "");
	log_follower_end(ticket);
}

void
control_forget_log(struct plugin *plugin)
{
	LIST_FOREACH_SAFE (follower, &plugin->output.followers, struct output_follower, node) {
		struct log_follower *lf = CONTAINER_OF(follower, struct log_follower, follower);

		answer_request(lf->ticket.client, lf->ticket.id, PLUG_EUNAVAILABLE,
			       "plugd ends, or the plugin's folder is gone");
		log_follower_end(&lf->ticket);
	}
}

const struct ticket_ops control_log_ops = {
	.on_cancel = on_log_cancel,
	.on_client_gone = log_follower_end,
};

static void
send_remembered(const struct control_ctx *ctx, struct plugin *plugin, uint32_t count, bool follow)
{
	static struct log_batch batch;
	const struct logring *ring = &plugin->output.ring;
	struct logring_cursor cursor = logring_last(ring, count ? count : logring_count(ring));
	struct logring_line line;

	batch.count = batch.used = 0;
	batch.dropped = count && count <= logring_count(ring) ? 0 : ring->lost;
	while (logring_next(ring, &cursor, &line)) {
		if (!has_space(&batch, &line))
			send_batch(ctx->client, ctx->id, &batch, true);
		add_line(&batch, &line);
	}
	send_batch(ctx->client, ctx->id, &batch, follow);
}

struct log_follower *
control_follow_log(struct plugin *plugin)
{
	struct log_follower *lf = calloc(1, sizeof(*lf));

	if (!lf)
		return NULL;
	list_init(&lf->ticket.node);
	lf->follower.on_line = on_line;
	output_follow(&plugin->output, &lf->follower);
	return lf;
}

static void
follow_log(const struct control_ctx *ctx, struct plugin *plugin)
{
	struct log_follower *lf = control_follow_log(plugin);
	plug_err err = PLUG_ENOMEM;

	if (lf)
		err = ticket_open(&lf->ticket, ctx->client, ctx->id, &control_log_ops,
				  ctx->control->tickets_per_client);
	if (!err)
		return;
	if (lf)
		log_follower_end(&lf->ticket);
	answer_request(ctx->client, ctx->id, err, NULL);
}

void
control_logs(const struct control_ctx *ctx, const Plug__LogsRequest *request)
{
	struct plugin *plugin = control_plugin(ctx, request->name);

	if (!plugin)
		return;
	send_remembered(ctx, plugin, request->lines, request->follow);
	if (request->follow)
		follow_log(ctx, plugin);
}

/* ---- events ---- */

static void
fill_event(Plug__Event *message, const struct event *event)
{
	plug__event__init(message);
	message->seq = event->seq;
	message->time_ms = event->time_ms;
	message->plugin = (char *)event->plugin;
	message->kind = (char *)event->kind;
	message->detail = (char *)event->detail;
	message->generation = event->generation;
	message->pid = event->pid;
}

static void
send_events(struct client *client, uint64_t id, Plug__Event **list, size_t count, bool more)
{
	Plug__Events events = PLUG__EVENTS__INIT;
	Plug__Response response = PLUG__RESPONSE__INIT;

	events.events = list;
	events.n_events = count;
	response.more = more;
	response.body_case = PLUG__RESPONSE__BODY_EVENTS;
	response.events = &events;
	control_answer(client, id, &response);
}

static void
on_event(struct events_follower *follower, const struct event *event)
{
	struct event_follower *ef = CONTAINER_OF(follower, struct event_follower, follower);
	Plug__Event message, *list[1] = {&message};

	if (client_queued_bytes(ef->ticket.client) > FOLLOW_QUEUE)
		return; /* a gap in `seq` shows it */
	fill_event(&message, event);
	send_events(ef->ticket.client, ef->ticket.id, list, 1, true);
}

static void
event_follower_end(struct ticket *ticket)
{
	struct event_follower *ef = CONTAINER_OF(ticket, struct event_follower, ticket);

	events_unfollow(&ef->follower);
	ticket_close(&ef->ticket);
	free(ef);
}

static void
on_event_cancel(struct ticket *ticket)
{
	answer_request(ticket->client, ticket->id, PLUG_OK, "");
	event_follower_end(ticket);
}

const struct ticket_ops control_event_ops = {
	.on_cancel = on_event_cancel,
	.on_client_gone = event_follower_end,
};

struct event_follower *
control_follow_events(struct events *events)
{
	struct event_follower *ef = calloc(1, sizeof(*ef));

	if (!ef)
		return NULL;
	list_init(&ef->ticket.node);
	ef->follower.on_event = on_event;
	events_follow(events, &ef->follower);
	return ef;
}

static void
follow_events(const struct control_ctx *ctx)
{
	struct event_follower *ef = control_follow_events(&ctx->control->host->events);
	plug_err err = PLUG_ENOMEM;

	if (ef)
		err = ticket_open(&ef->ticket, ctx->client, ctx->id, &control_event_ops,
				  ctx->control->tickets_per_client);
	if (!err)
		return;
	if (ef)
		event_follower_end(&ef->ticket);
	answer_request(ctx->client, ctx->id, err, NULL);
}

void
control_events(const struct control_ctx *ctx, const Plug__EventsRequest *request)
{
	const struct events *events = &ctx->control->host->events;
	Plug__Event messages[EVENTS_AT_A_TIME], *list[EVENTS_AT_A_TIME];
	size_t skip = request->count && request->count < events->count
			      ? events->count - request->count
			      : 0;
	size_t count = 0, bytes = 0;

	LIST_FOREACH (event, &events->ring, struct event, node) {
		if (skip) {
			skip--;
			continue;
		}
		if (count == EVENTS_AT_A_TIME || bytes > CONTROL_BATCH_BYTES) {
			send_events(ctx->client, ctx->id, list, count, true);
			count = bytes = 0;
		}
		fill_event(&messages[count], event);
		list[count] = &messages[count];
		count++;
		bytes += strlen(event->detail) + 160;
	}
	send_events(ctx->client, ctx->id, list, count, request->follow);
	if (request->follow)
		follow_events(ctx);
}
