#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "plane.h"

#define NAME_BYTES    255 /* of the program, as plugd hears it */
#define TIDY_AFTER_MS 1

static atomic_uint_least64_t serials;

/* ---- open, close ---- */

static plug_err
read_config(const struct plug_client_config *given, struct plug_client_config *ret)
{
	*ret = (struct plug_client_config){.size = sizeof(*ret)};
	if (given && (given->size <= offsetof(struct plug_client_config, connect_timeout_ms) ||
		      given->size > 4096))
		return plugc_fail(NULL, PLUG_EINVAL,
				  "config->size is %zu, expected sizeof(struct "
				  "plug_client_config), %zu",
				  given->size, sizeof(*given));
	if (given)
		memcpy(ret, given, given->size < sizeof(*ret) ? given->size : sizeof(*ret));
	if (!ret->name)
		ret->name = program_invocation_short_name;
	if (!ret->connect_timeout_ms)
		ret->connect_timeout_ms = PLUGC_CONNECT_MS;
	return PLUG_OK;
}

static void
client_free(struct plug_client *client)
{
	plugc_routes_fini(client);
	plugc_loop_fini(client);
	plugc_table_fini(&client->calls);
	pthread_mutex_destroy(&client->lock);
	pthread_mutex_destroy(&client->text_lock);
	free(client->name);
	free(client);
}

static unsigned long
spin_us(const struct plug_client_config *config)
{
	if (config->spin_us == PLUG_SPIN_NEVER)
		return 0;
	return config->spin_us ? config->spin_us : PLUGS_SPIN_US;
}

/* The environment's word is the user's, who may know more than the program. */
static void
read_plane_config(struct plug_client *client, const struct plug_client_config *config)
{
	const char *plane = getenv(PLUG_ENV_DATA_PLANE), *bytes = getenv("PLUG_CHANNEL_BYTES");
	unsigned long long wanted = bytes ? strtoull(bytes, NULL, 10) : PLUG_REGION_BYTES;

	wanted &= ~4095ull;
	if (wanted < PLUG_REGION_BYTES_MIN || wanted > PLUG_REGION_BYTES_MAX)
		wanted = PLUG_REGION_BYTES;
	client->region_bytes = wanted;
	client->plane_off =
		config->data_plane == PLUG_DATA_PLANE_OFF || (plane && strcmp(plane, "off") == 0);
	client->spin_ns = client->plane_off ? 0 : plugs_spin_budget_ns(spin_us(config));
}

static plug_err
client_new(const struct plug_client_config *config, struct plug_client **ret)
{
	struct plug_client *client = calloc(1, sizeof(*client));

	if (!client)
		return PLUG_ENOMEM;
	pthread_mutex_init(&client->lock, NULL);
	pthread_mutex_init(&client->text_lock, NULL);
	client->epoll_fd = client->kick_fd = -1;
	for (size_t i = 0; i < PLUGC_FDS_MAX; i++)
		client->in_fds[i] = -1;
	read_plane_config(client, config);
	client->serial = atomic_fetch_add(&serials, 1) + 1;
	client->fd = -1;
	client->connect_timeout_ms = config->connect_timeout_ms;
	client->call_bytes = PLUG_CALL_BYTES;
	client->next_deadline_ns = PLUGC_NEVER;
	TAILQ_INIT(&client->out);
	TAILQ_INIT(&client->waiters);
	TAILQ_INIT(&client->ready);
	client->name = strndup(config->name, NAME_BYTES);
	if (!client->name || plugc_table_init(&client->calls) != PLUG_OK) {
		client_free(client);
		return PLUG_ENOMEM;
	}
	*ret = client;
	return PLUG_OK;
}

static plug_err
first_connection(struct plug_client *client)
{
	plug_err err;

	pthread_mutex_lock(&client->lock);
	err = plugc_connect(client, true);
	if (err == PLUG_OK) {
		plugc_wait_ready(client);
		err = client->state == PLUGC_READY ? PLUG_OK : client->lost;
	}
	pthread_mutex_unlock(&client->lock);
	return err;
}

plug_err
plug_client_open(const struct plug_client_config *given, struct plug_client **ret)
{
	struct plug_client_config config;
	struct plugc_address address;
	struct plug_client *client = NULL;
	char why[PLUGC_TEXT_BYTES];
	plug_err err = read_config(given, &config);

	if (err != PLUG_OK)
		return err;
	err = plugc_address_resolve(config.runtime_dir, &address, why, sizeof(why));
	if (err != PLUG_OK)
		return plugc_fail(NULL, err, "%s", why);
	err = client_new(&config, &client);
	if (err != PLUG_OK)
		return plugc_fail(NULL, err, "no memory for a connection to plugd");
	client->address = address;
	err = first_connection(client);
	if (err != PLUG_OK) {
		plugc_fail(NULL, err, "%s", client->text);
		client_free(client);
		return err;
	}
	*ret = client;
	return PLUG_OK;
}

static void
end_for_close(struct plugc_entry *entry, void *arg)
{
	plugc_call_end(arg, (struct plugc_call *)entry, PLUG_ECANCELLED,
		       "the connection to plugd was closed here");
}

void
plug_client_close(struct plug_client *client)
{
	if (!client)
		return;
	pthread_mutex_lock(&client->lock);
	client->closing = true;
	plugc_table_each(&client->calls, end_for_close, client);
	plugc_run_ready(client, &client->lock, &client->ready);
	pthread_mutex_unlock(&client->lock);
	plugc_routes_each(client, plugc_route_close, NULL);
	pthread_mutex_lock(&client->lock);
	if (client->fd >= 0)
		plugc_lose(client, PLUG_ECANCELLED, "closed here");
	pthread_mutex_unlock(&client->lock);
	client_free(client);
}

const char *
plug_client_server_version(const struct plug_client *client)
{
	return client->server_version;
}

/* ---- blocking calls ---- */

void
plugc_start(struct plug_client *client, struct plugc_call *call)
{
	if (!call->entry.id)
		call->entry.id = atomic_fetch_add(&client->last_id, 1) + 1;
	call->out.id = call->entry.id;
	if (call->call_deadline_ns == PLUGC_NEVER) { /* else it was on a channel before */
		call->timeout_ms = call->asked_ms;
		if (call->asked_ms) {
			call->call_deadline_ns = plugc_after_ms(plugc_now_ns(), call->asked_ms);
			call->deadline_ns = plugc_after_ms(call->call_deadline_ns, PLUGC_GRACE_MS);
		}
	}
	call->limit_bytes = client->call_bytes;
	plugc_table_add(&client->calls, &call->entry);
	call->tabled = true;
	plugc_out_add(client, &call->out);
	plugc_flush(client);
}

bool
plugc_fits(struct plug_client *client, struct plugc_call *call)
{
	if (call->out.size <= client->call_bytes)
		return true;
	call->refused = true;
	plugc_call_end(client, call, PLUG_ETOOLARGE,
		       "the payload is %zu bytes, plugd takes at most %llu in a call",
		       call->out.size, (unsigned long long)client->call_bytes);
	return false;
}

static bool
hand_piece(struct plugc_call *call, struct plugc_message *message)
{
	return call->on_piece(&message->pub.payload, call->user);
}

/* Giving back the memory of channels that were left takes as long as a call, and the processor that
 * this one may need: it is done at its end, or when it takes longer. */
static void
tidy_meanwhile(struct plug_client *client, struct plugc_route *route, struct plugc_call *call)
{
	uint64_t until_ns = plugc_after_ms(plugc_now_ns(), TIDY_AFTER_MS);

	if (until_ns > call->deadline_ns)
		until_ns = call->deadline_ns;
	plugc_wait_once(client, call, until_ns);
	if (call->done)
		return;
	pthread_mutex_unlock(&client->lock);
	plugc_route_tidy_later(route);
	pthread_mutex_lock(&client->lock);
}

/* Over plugd.  False: there is a channel now, nothing was sent. */
static bool
control_call(struct plug_client *client, struct plugc_route *of, struct plugc_call *call)
{
	struct plugc_route *route = call->wary ? NULL : of; /* no channel takes it */

	pthread_mutex_lock(&client->lock);
	if (route && plugc_open_came(client, route)) {
		plugc_promote(client);
		pthread_mutex_unlock(&client->lock);
		return false;
	}
	if (plugc_fits(client, call)) {
		client->calls_control++;
		plugc_start(client, call);
		pthread_mutex_unlock(&client->lock);
		/* while plugd and the plugin have something to do */
		if (route)
			plugc_open_consider(client, route);
		pthread_mutex_lock(&client->lock);
		if (of && plugc_route_has_left(of))
			tidy_meanwhile(client, of, call);
		plugc_wait(client, call, hand_piece);
	}
	plugc_call_withdraw(client, call);
	plugc_promote(client);
	pthread_mutex_unlock(&client->lock);
	if (route)
		plugc_open_outcome(route, call->outcome);
	return true;
}

static bool
over_plane(struct plugc_route *route, struct plugc_call *call)
{
	if (!route || plugc_wary_marks(&route->wary, call))
		return false;
	if (plugc_plane_call(route, call))
		return true;
	plugc_wary_marks(&route->wary, call); /* its process may have died just now */
	return false;
}

/* *ret_reply as plug_client_call() has it. */
static plug_err
take_outcome(struct plug_client *client, struct plugc_call *call, struct plugc_message **ret_reply)
{
	plug_err outcome = call->outcome;
	struct plugc_message *reply = call->reply;

	if (outcome != PLUG_OK)
		plugc_fail(client, outcome, "%s",
			   reply ? reply->pub.message : plug_err_text(outcome));
	if (!call->refused) {
		*ret_reply = reply;
		call->reply = NULL;
	}
	return outcome;
}

/* What was lent is not kept until the next call; nor is anything else, but by a call that had to go
 * elsewhere and whose answer is there at last. */
static void
leave_tidy(struct plugc_route *route, const struct plugc_call *call)
{
	if (call->replayed && call->outcome == PLUG_OK)
		plugc_route_lighten(route);
	else
		plugc_route_tidy_later(route);
}

plug_err
plug_client_call(struct plug_client *client, const struct plug_request *request,
		 plug_on_piece on_piece, void *user, struct plug_reply **ret)
{
	struct plugc_call call;
	struct plugc_message *reply = NULL;
	struct plugc_route *route;
	plug_err outcome;

	if (ret)
		*ret = NULL;
	plugc_call_init(&call, true);
	call.on_piece = on_piece;
	call.user = user;
	outcome = plugc_out_prepare(client, &call, request);
	if (outcome != PLUG_OK)
		return outcome;
	route = plugc_route_get(client, request->plugin);
	while (!over_plane(route, &call)) {
		if (call.plane_only ? plugc_tensors_wait(client, route, &call)
				    : control_call(client, route, &call))
			break;
	}
	if (route)
		leave_tidy(route, &call);
	outcome = take_outcome(client, &call, &reply);
	plugc_call_fini(client, &call);
	if (ret)
		*ret = reply ? &reply->pub : NULL;
	else
		plugc_message_free(reply);
	return outcome;
}
