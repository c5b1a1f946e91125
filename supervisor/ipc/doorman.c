#include "ipc/doorman.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "ipc/doorman_private.h"

#define BACKLOG          128
#define ACCEPT_AT_A_TIME 32

static void
on_reap(struct ev_loop *loop, ev_check *w, int revents)
{
	struct doorman *doorman = w->data;

	(void)loop;
	if (!(revents & EV_CUSTOM))
		return;
	LIST_FOREACH_SAFE (client, &doorman->closing, struct client, node)
		client_free(client);
}

static unsigned
count_of_uid(const struct doorman *doorman, uid_t uid)
{
	unsigned count = 0;

	LIST_FOREACH (client, &doorman->clients, struct client, node)
		count += client->uid == uid;
	return count;
}

static const char *
reason_to_turn_away(const struct doorman *doorman, const struct ucred *peer)
{
	if (doorman->count >= doorman->config.limits.clients)
		return "as many clients as limits.clients allows are connected";
	if (peer->uid != 0 && peer->uid != geteuid() &&
	    count_of_uid(doorman, peer->uid) >= doorman->config.limits.clients_per_uid)
		return "as many clients of this user as limits.clients_per_uid allows are "
		       "connected";
	return NULL;
}

static void
admit(struct doorman *doorman, int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);
	const char *reason;
	struct client *client;

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0) {
		close(fd);
		return;
	}
	reason = reason_to_turn_away(doorman, &peer);
	client = client_new(doorman, fd, ++doorman->last_number);
	if (!client) {
		close(fd);
		return;
	}
	client->uid = peer.uid;
	client->pid = peer.pid;
	ev_timer_start(doorman->config.loop, &client->hello_timer);
	if (reason)
		client_refuse(client, PLUG_EOVERLOADED, reason);
}

static void
on_acceptable(struct ev_loop *loop, ev_io *w, int revents)
{
	struct doorman *doorman = w->data;

	(void)revents;
	for (int i = 0; i < ACCEPT_AT_A_TIME; i++) {
		int fd = accept4(doorman->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (fd >= 0) {
			admit(doorman, fd);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
			log_warn("cannot accept a client: %s; the door stays closed for a second",
				 strerror(errno));
			ev_io_stop(loop, w);
			ev_timer_again(loop, &doorman->accept_pause);
		}
		return;
	}
}

static void
on_accept_pause(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct doorman *doorman = w->data;

	(void)revents;
	ev_timer_stop(loop, w);
	ev_io_start(loop, &doorman->accept_w);
}

/* A socket left by a plugd that died may be in the way; anything else there is not ours to remove.
 */
static void
remove_stale(const char *path)
{
	struct stat st;

	if (lstat(path, &st) == 0 && S_ISSOCK(st.st_mode))
		unlink(path);
}

static plug_err
listen_at(struct doorman *doorman, const char *path)
{
	if (strlen(path) >= sizeof(doorman->address.sun_path))
		return PLUG_ETOOLARGE;
	doorman->address.sun_family = AF_UNIX;
	strcpy(doorman->address.sun_path, path);
	doorman->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (doorman->fd < 0)
		return PLUG_ESYS;
	remove_stale(path);
	if (bind(doorman->fd, (struct sockaddr *)&doorman->address, sizeof(doorman->address)) < 0 ||
	    listen(doorman->fd, BACKLOG) < 0)
		return PLUG_ESYS;
	return PLUG_OK;
}

struct doorman *
doorman_new(const struct doorman_config *config)
{
	struct doorman *doorman = calloc(1, sizeof(*doorman));

	if (!doorman)
		return NULL;
	doorman->config = *config;
	doorman->fd = -1;
	list_init(&doorman->clients);
	list_init(&doorman->closing);
	return doorman;
}

void
doorman_init_watchers(struct doorman *doorman)
{
	ev_io_init(&doorman->accept_w, on_acceptable, doorman->fd, EV_READ);
	ev_timer_init(&doorman->accept_pause, on_accept_pause, 1., 1.);
	ev_check_init(&doorman->reap_w, on_reap);
	doorman->accept_w.data = doorman->accept_pause.data = doorman->reap_w.data = doorman;
}

plug_err
doorman_open(const struct doorman_config *config, struct doorman **ret)
{
	struct doorman *doorman = doorman_new(config);
	plug_err err;

	if (!doorman)
		return PLUG_ENOMEM;
	err = listen_at(doorman, config->path);
	if (err) {
		if (doorman->fd >= 0)
			close(doorman->fd);
		free(doorman);
		return err;
	}
	doorman_init_watchers(doorman);
	ev_io_start(config->loop, &doorman->accept_w);
	*ret = doorman;
	return PLUG_OK;
}

void
doorman_close(struct doorman *doorman)
{
	if (!doorman)
		return;
	ev_io_stop(doorman->config.loop, &doorman->accept_w);
	ev_timer_stop(doorman->config.loop, &doorman->accept_pause);
	close(doorman->fd);
	unlink(doorman->address.sun_path);
	LIST_FOREACH_SAFE (client, &doorman->clients, struct client, node)
		client_close(client, NULL);
	LIST_FOREACH_SAFE (client, &doorman->closing, struct client, node)
		client_free(client);
	ev_clear_pending(doorman->config.loop, &doorman->reap_w);
	free(doorman);
}

void
doorman_set_limits(struct doorman *doorman, const struct doorman_limits *limits)
{
	doorman->config.limits = *limits;
}

unsigned
doorman_client_count(const struct doorman *doorman)
{
	return doorman->count;
}
