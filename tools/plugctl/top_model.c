#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "top.h"

#define TOP_SPEC(symbol, key, head, width, ascending) {key, head, width, ascending},
const struct top_column_spec top_columns[TOP_COLUMN_COUNT] = {TOP_COLUMNS(TOP_SPEC)};

/* ---- asking ---- */

struct asking {
	struct top_look look;
	plug_err err;
};

static struct top_row *
row_of(const struct top_look *look, const char *name)
{
	for (size_t i = 0; look && i < look->count; i++)
		if (strcmp(look->rows[i].name, name) == 0)
			return &look->rows[i];
	return NULL;
}

static void
add_line(struct asking *asking, const Plug__PluginLine *line)
{
	struct top_look *look = &asking->look;
	struct top_row *longer = realloc(look->rows, (look->count + 1) * sizeof(*longer)), *row;

	if (!longer) {
		asking->err = PLUG_ENOMEM;
		return;
	}
	look->rows = longer;
	row = &longer[look->count++];
	*row = (struct top_row){.pid = line->pid,
				.ready = line->ready,
				.instances = line->instances,
				.restarts = line->restarts,
				.rss_bytes = line->rss_bytes};
	snprintf(row->name, sizeof(row->name), "%s", plug_str(line->name));
	snprintf(row->type, sizeof(row->type), "%s", plug_str(line->type));
	snprintf(row->state, sizeof(row->state), "%s", plug_str(line->state));
}

static int
by_length(const void *left, const void *right)
{
	const struct top_took *a = left, *b = right;

	return (a->below_ns > b->below_ns) - (a->below_ns < b->below_ns);
}

static void
add_stats(struct asking *asking, const Plug__PluginStats *stats)
{
	struct top_row *row = row_of(&asking->look, plug_str(stats->name));

	if (!row)
		return; /* it came between the two questions */
	row->cpu_ms = stats->cpu_all_ms;
	row->rss_bytes = stats->rss_all_bytes ? stats->rss_all_bytes : row->rss_bytes;
	row->calls_total =
		stats->calls; /* those of channels are timed by samples, counted exactly */
	if (stats->data_plane)
		row->calls_total += stats->data_plane->ok + stats->data_plane->errors;
	row->queued = stats->queued;
	row->in_flight = stats->in_flight + (stats->data_plane ? stats->data_plane->in_flight : 0);
	row->took = calloc(stats->n_took + 1, sizeof(*row->took));
	if (!row->took) {
		asking->err = PLUG_ENOMEM;
		return;
	}
	for (size_t i = 0; i < stats->n_took; i++)
		row->took[i] = (struct top_took){stats->took[i]->below_ns, stats->took[i]->calls};
	row->took_count = stats->n_took;
	qsort(row->took, row->took_count, sizeof(*row->took), by_length);
}

static bool
on_response(const Plug__Response *response, void *user)
{
	struct asking *asking = user;

	if (response->outcome != PLUG_OK)
		return true;
	if (response->body_case == PLUG__RESPONSE__BODY_LIST) {
		for (size_t i = 0; i < response->list->n_plugins; i++)
			add_line(asking, response->list->plugins[i]);
	} else if (response->body_case == PLUG__RESPONSE__BODY_STATS) {
		for (size_t i = 0; i < response->stats->n_plugins; i++)
			add_stats(asking, response->stats->plugins[i]);
	} else if (response->body_case == PLUG__RESPONSE__BODY_DAEMON) {
		snprintf(asking->look.version, sizeof(asking->look.version), "%s",
			 plug_str(response->daemon->version));
		asking->look.plugd_rss = response->daemon->rss_bytes;
		asking->look.plugd_uptime_ms = response->daemon->uptime_ms;
		asking->look.clients = response->daemon->clients;
	}
	return true;
}

static plug_err
ask_all(struct ctl *ctl, struct asking *asking)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ListRequest list = PLUG__LIST_REQUEST__INIT;
	Plug__StatsRequest stats = PLUG__STATS_REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;
	plug_err err;

	request.body_case = PLUG__REQUEST__BODY_LIST;
	request.list = &list;
	err = ctl_ask(ctl, &request, CTL_ANSWER_MS, on_response, asking);
	request.body_case = PLUG__REQUEST__BODY_STATS;
	request.stats = &stats;
	if (!err)
		err = ctl_ask(ctl, &request, CTL_ANSWER_MS, on_response, asking);
	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &status;
	if (!err)
		err = ctl_ask(ctl, &request, CTL_ANSWER_MS, on_response, asking);
	return err ? err : asking->err;
}

/* ---- what happened between two looks ---- */

static uint64_t
grown(uint64_t now, uint64_t before)
{
	return now > before ? now - before : 0;
}

static uint64_t
calls_below(const struct top_row *row, uint64_t below_ns)
{
	for (size_t i = 0; i < row->took_count; i++)
		if (row->took[i].below_ns == below_ns)
			return row->took[i].calls;
	return 0;
}

/* The end of the interval in which the slowest hundredth begins. */
static uint64_t
p99_since(const struct top_row *row, const struct top_row *before)
{
	uint64_t all = 0, seen = 0;

	for (size_t i = 0; i < row->took_count; i++)
		all += grown(row->took[i].calls, calls_below(before, row->took[i].below_ns));
	for (size_t i = 0; all && i < row->took_count; i++) {
		seen += grown(row->took[i].calls, calls_below(before, row->took[i].below_ns));
		if (seen * 100 >= all * 99)
			return row->took[i].below_ns;
	}
	return 0;
}

static void
compute(struct top_look *look, const struct top_look *before)
{
	double seconds = (double)(look->at_ns - before->at_ns) / 1e9;

	for (size_t i = 0; i < look->count && seconds > 0; i++) {
		struct top_row *row = &look->rows[i];
		const struct top_row *was = row_of(before, row->name);

		if (!was)
			continue;
		row->cpu = (double)grown(row->cpu_ms, was->cpu_ms) / 1e3 / seconds;
		row->calls = (double)grown(row->calls_total, was->calls_total) / seconds;
		row->p99_ns = p99_since(row, was);
	}
}

plug_err
top_look(struct ctl *ctl, const struct top_look *before, struct top_look *ret,
	 char why[TOP_WHY_BYTES])
{
	struct plug_client_config config = {
		.size = sizeof(config), .runtime_dir = ctl->runtime_dir, .name = "plugctl"};
	struct asking asking = {.err = PLUG_OK};
	struct timespec now;
	plug_err err = ctl->client ? PLUG_OK : plug_client_open(&config, &ctl->client);

	if (!err)
		err = ask_all(ctl, &asking);
	if (err) {
		snprintf(why, TOP_WHY_BYTES, "%s", plug_client_error_text(ctl->client));
		top_look_fini(&asking.look);
		return err;
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	asking.look.at_ns = (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
	if (before)
		compute(&asking.look, before);
	*ret = asking.look;
	return PLUG_OK;
}

void
top_look_fini(struct top_look *look)
{
	for (size_t i = 0; i < look->count; i++)
		free(look->rows[i].took);
	free(look->rows);
	*look = (struct top_look){.rows = NULL};
}

/* ---- showing ---- */

static void
put_rate(char *buffer, double rate)
{
	snprintf(buffer, TOP_CELL_BYTES, rate >= 100 || rate == 0 ? "%.0f" : "%.1f", rate);
}

static void
put_latency(char *buffer, uint64_t ns)
{
	char text[FORMAT_BYTES];

	if (!ns)
		snprintf(buffer, TOP_CELL_BYTES, "-");
	else
		snprintf(buffer, TOP_CELL_BYTES, "%s",
			 ns < 1000000000000ull ? format_ns(ns, text) : "long");
}

const char *
top_cell(const struct top_row *row, enum top_column column, char buffer[TOP_CELL_BYTES])
{
	char text[FORMAT_BYTES];
	const char *word = column == TOP_NAME   ? row->name
			   : column == TOP_TYPE ? row->type
						: row->state;
	char *safe;

	switch (column) {
	case TOP_NAME:
	case TOP_TYPE:
	case TOP_STATE:
		safe = out_escape(word, strlen(word));
		snprintf(buffer, TOP_CELL_BYTES, "%s", safe ? safe : "");
		free(safe);
		break;
	case TOP_PID:
		snprintf(buffer, TOP_CELL_BYTES, row->pid ? "%" PRId64 : "-", row->pid);
		break;
	case TOP_INSTANCES:
		snprintf(buffer, TOP_CELL_BYTES, "%u/%u", row->ready, row->instances);
		break;
	case TOP_CPU:
		snprintf(buffer, TOP_CELL_BYTES, "%.1f", row->cpu * 100);
		break;
	case TOP_MEMORY:
		snprintf(buffer, TOP_CELL_BYTES, "%s",
			 row->rss_bytes ? format_size(row->rss_bytes, text) : "-");
		break;
	case TOP_CALLS:
		put_rate(buffer, row->calls);
		break;
	case TOP_P99:
		put_latency(buffer, row->p99_ns);
		break;
	case TOP_IN_FLIGHT:
		snprintf(buffer, TOP_CELL_BYTES, "%" PRIu64, row->in_flight);
		break;
	case TOP_WAITING:
		snprintf(buffer, TOP_CELL_BYTES, "%" PRIu64, row->queued);
		break;
	case TOP_RESTARTS:
		snprintf(buffer, TOP_CELL_BYTES, "%" PRIu64, row->restarts);
		break;
	case TOP_COLUMN_COUNT:
		*buffer = '\0';
	}
	return buffer;
}

/* ---- order and filter ---- */

static double
number_of(const struct top_row *row, enum top_column column)
{
	switch (column) {
	case TOP_PID:
		return (double)row->pid;
	case TOP_INSTANCES:
		return row->instances;
	case TOP_CPU:
		return row->cpu;
	case TOP_MEMORY:
		return (double)row->rss_bytes;
	case TOP_CALLS:
		return row->calls;
	case TOP_P99:
		return (double)row->p99_ns;
	case TOP_IN_FLIGHT:
		return (double)row->in_flight;
	case TOP_WAITING:
		return (double)row->queued;
	case TOP_RESTARTS:
		return (double)row->restarts;
	default:
		return 0;
	}
}

/* Below 0: left comes first.  Equal ones stay in the order of their names. */
static int
compare_rows(const void *left, const void *right, void *user)
{
	const struct top_row *a = *(const struct top_row *const *)left;
	const struct top_row *b = *(const struct top_row *const *)right;
	const struct top_view *view = user;
	double one = number_of(a, view->sort), two = number_of(b, view->sort);
	int order = (one > two) - (one < two);

	if (view->sort == TOP_NAME)
		order = strcmp(a->name, b->name);
	else if (view->sort == TOP_TYPE)
		order = strcmp(a->type, b->type);
	else if (view->sort == TOP_STATE)
		order = strcmp(a->state, b->state);
	if (!top_columns[view->sort].ascending)
		order = -order;
	if (view->reversed)
		order = -order;
	return order ? order : strcmp(a->name, b->name);
}

static bool
passes(const struct top_row *row, const char *filter)
{
	return !*filter || strcasestr(row->name, filter) || strcasestr(row->type, filter) ||
	       strcasestr(row->state, filter);
}

const struct top_row **
top_select(const struct top_look *look, const struct top_view *view, size_t *ret_count)
{
	const struct top_row **rows = calloc(look->count + 1, sizeof(*rows));
	struct top_view order = *view;

	*ret_count = 0;
	for (size_t i = 0; rows && i < look->count; i++)
		if (passes(&look->rows[i], view->filter))
			rows[(*ret_count)++] = &look->rows[i];
	if (rows)
		qsort_r(rows, *ret_count, sizeof(*rows), compare_rows, &order);
	return rows;
}
