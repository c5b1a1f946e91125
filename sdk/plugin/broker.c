#include "broker.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "codec.h"
#include "plane_channel.h"
#include "state.h"
#include "wire.h"

#define OFFER_FDS 2
#define FDS_LOST  SIZE_MAX /* this process had none left for them */
#define TAKEN_MAX 16       /* offers at a time, so that ticks come in between */

void
plugp_broker_init(struct broker *broker)
{
	const char *text = getenv(PLUG_ENV_BROKER_FD);
	struct stat st;
	char *end;
	long fd;

	broker->fd = -1;
	if (!text)
		return;
	fd = strtol(text, &end, 10);
	if (end == text || *end || fd < 3 || fd > INT32_MAX || fstat((int)fd, &st) < 0 ||
	    !S_ISSOCK(st.st_mode) || fcntl((int)fd, F_SETFD, FD_CLOEXEC) < 0)
		return;
	broker->fd = (int)fd;
}

static void
hang_up(struct broker *broker)
{
	if (broker->fd >= 0)
		close(broker->fd);
	broker->fd = -1;
}

void
plugp_broker_fini(struct broker *broker)
{
	struct channel *channel;

	while ((channel = broker->unsaid) != NULL) {
		broker->unsaid = channel->next;
		plugp_channel_free(channel);
	}
	hang_up(broker);
}

/* ---- messages with descriptors ---- */

union ancillary {
	struct cmsghdr header;
	char bytes[CMSG_SPACE(4 * sizeof(int))];
};

static void
close_all(const int *fds, size_t count)
{
	for (size_t i = 0; i < count; i++)
		close(fds[i]);
}

/* Descriptors beyond `max` are closed. */
static size_t
descriptors_of(struct msghdr *msg, int *fds, size_t max)
{
	size_t count = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		size_t bytes = c->cmsg_len - CMSG_LEN(0);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t at = 0; at + sizeof(int) <= bytes; at += sizeof(int)) {
			int fd;

			memcpy(&fd, CMSG_DATA(c) + at, sizeof(fd));
			if (count < max)
				fds[count++] = fd;
			else
				close(fd);
		}
	}
	return count;
}

/* False: nothing more for now. */
static bool
receive(struct broker *broker, Plug__Envelope **ret_env, int fds[OFFER_FDS], size_t *ret_count)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	union ancillary ancillary;
	struct iovec iov = {bytes, sizeof(bytes)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &ancillary,
			     .msg_controllen = sizeof(ancillary)};
	ssize_t size;

	do
		size = recvmsg(broker->fd, &msg, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	while (size < 0 && errno == EINTR);
	if (size < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (size <= 0) {
		hang_up(broker); /* plugd is gone, which others notice; channels stay */
		return false;
	}
	*ret_count = descriptors_of(&msg, fds, OFFER_FDS);
	if (msg.msg_flags & MSG_CTRUNC) {
		close_all(fds, *ret_count);
		*ret_count = FDS_LOST;
	}
	*ret_env = NULL;
	if (msg.msg_flags & MSG_TRUNC ||
	    plug_envelope_unpack(bytes, (size_t)size, ret_env) != PLUG_OK)
		*ret_env = NULL;
	return true;
}

/* False: it could not be sent. */
static bool
say(struct plug_plugin *plugin, Plug__Envelope *env, int fd)
{
	uint8_t bytes[2048];
	union ancillary ancillary;
	struct iovec iov = {bytes, 0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	env->generation = plugin->generation;
	if (plug_envelope_pack(env, bytes, sizeof(bytes), &iov.iov_len) != PLUG_OK)
		return false;
	if (fd >= 0) {
		memset(&ancillary, 0, sizeof(ancillary));
		msg.msg_control = &ancillary;
		msg.msg_controllen = CMSG_SPACE(sizeof(fd));
		*CMSG_FIRSTHDR(&msg) = (struct cmsghdr){.cmsg_len = CMSG_LEN(sizeof(fd)),
							.cmsg_level = SOL_SOCKET,
							.cmsg_type = SCM_RIGHTS};
		memcpy(CMSG_DATA(CMSG_FIRSTHDR(&msg)), &fd, sizeof(fd));
	}
	return sendmsg(plugin->broker.fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0;
}

/* ---- offers ---- */

static bool
answer(struct plug_plugin *plugin, uint64_t number, plug_err outcome, const char *why, int fd)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ChannelAnswer msg = PLUG__CHANNEL_ANSWER__INIT;

	msg.channel = number;
	msg.outcome = (uint32_t)outcome;
	msg.message = (char *)why;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_ANSWER;
	env.channel_answer = &msg;
	return say(plugin, &env, fd);
}

static const char *
why_not_added(plug_err err)
{
	switch (err) {
	case PLUG_EUNAVAILABLE:
		return "the plugin is draining and takes no channels";
	case PLUG_EOVERLOADED:
		return "the plugin has as many channels as it can hold";
	default:
		return "the plugin has no thread or descriptor left";
	}
}

/* Takes both descriptors. */
static void
accept_offer(struct plug_plugin *plugin, const Plug__ChannelOffer *offer, const int fds[OFFER_FDS])
{
	struct channel *channel;
	const char *why;
	int own_fd;
	plug_err err = plugp_channel_new(plugin, offer->channel, offer->region_bytes, fds[0],
					 fds[1], &channel, &own_fd, &why);

	if (err != PLUG_OK) {
		answer(plugin, offer->channel, err, why, -1);
		return;
	}
	channel->pid = offer->pid;
	snprintf(channel->name, sizeof(channel->name), "%s", plug_str(offer->name));
	err = plugp_plane_add(plugin, channel);
	if (err != PLUG_OK)
		plugp_channel_free(channel);
	/* When the answer is lost plugd lets go of its end, and the channel ends by that. */
	answer(plugin, offer->channel, err, err == PLUG_OK ? "" : why_not_added(err),
	       err == PLUG_OK ? own_fd : -1);
	close(own_fd);
}

static void
take(struct plug_plugin *plugin, const Plug__Envelope *env, const int *fds, size_t count)
{
	if (!env || env->body_case != PLUG__ENVELOPE__BODY_CHANNEL_OFFER ||
	    env->generation != plugin->generation) {
		close_all(fds, count == FDS_LOST ? 0 : count);
		plugp_fault(plugin, "plugd sent a message on the broker socket that is no offer");
	} else if (count == FDS_LOST) {
		answer(plugin, env->channel_offer->channel, PLUG_ESYS,
		       "the plugin has no descriptor left for a channel", -1);
	} else if (count != OFFER_FDS || env->channel_offer->channel == 0) {
		close_all(fds, count);
		answer(plugin, env->channel_offer->channel, PLUG_EPROTO,
		       "an offer needs a number and two descriptors", -1);
	} else {
		accept_offer(plugin, env->channel_offer, fds);
	}
}

static bool
say_closed(struct plug_plugin *plugin, struct channel *channel)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ChannelClosed msg = PLUG__CHANNEL_CLOSED__INIT;

	msg.channel = channel->number;
	msg.violated = channel->violated;
	msg.reason = channel->reason;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_CLOSED;
	env.channel_closed = &msg;
	return say(plugin, &env, -1) || (errno != EAGAIN && errno != ENOBUFS && errno != EINTR);
}

static void
report_closed(struct plug_plugin *plugin)
{
	struct broker *broker = &plugin->broker;
	struct channel *channel;

	while ((channel = plugp_plane_reap(plugin)) != NULL) {
		plugp_channel_release(channel);
		channel->next = broker->unsaid;
		broker->unsaid = channel;
	}
	while ((channel = broker->unsaid) != NULL && say_closed(plugin, channel)) {
		broker->unsaid = channel->next;
		plugp_channel_free(channel);
	}
}

void
plugp_broker_tick(struct plug_plugin *plugin)
{
	struct broker *broker = &plugin->broker;
	Plug__Envelope *env;
	int fds[OFFER_FDS];
	size_t count;

	if (!plugp_plane_is_there(&plugin->plane))
		return;
	for (int n = 0; n < TAKEN_MAX && broker->fd >= 0 && receive(broker, &env, fds, &count);
	     n++) {
		take(plugin, env, fds, count);
		if (env)
			plug_envelope_free(env);
	}
	report_closed(plugin);
}
