#include <errno.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "partner.h"

/* ---- messages with descriptors ---- */

static Plug__Envelope *
receive(struct peer *peer, int *ret_fd)
{
	static uint8_t buf[PLUG_MESSAGE_BYTES + 1];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} ancillary;
	struct iovec iov = {buf, sizeof(buf)};
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = &ancillary,
			     .msg_controllen = sizeof(ancillary)};
	Plug__Envelope *env = NULL;
	ssize_t size = recvmsg(peer->fd, &msg, MSG_CMSG_CLOEXEC);

	*ret_fd = -1;
	if (size <= 0)
		return NULL;
	if (CMSG_FIRSTHDR(&msg))
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&msg)), sizeof(*ret_fd));
	MUST(plug_envelope_unpack(buf, (size_t)size, &env) == PLUG_OK);
	return env;
}

static void
send_with(struct peer *peer, const Plug__Envelope *env, const int *fds, size_t count)
{
	static uint8_t buf[PLUG_MESSAGE_BYTES];
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(16 * sizeof(int))];
	} ancillary = {.bytes = {0}};
	struct iovec iov = {buf, 0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	MUST(plug_envelope_pack(env, buf, sizeof(buf), &iov.iov_len) == PLUG_OK);
	if (count) {
		msg.msg_control = &ancillary;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		ancillary.header.cmsg_level = SOL_SOCKET;
		ancillary.header.cmsg_type = SCM_RIGHTS;
		ancillary.header.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&ancillary.header), fds, count * sizeof(int));
	}
	MUST(sendmsg(peer->fd, &msg, MSG_NOSIGNAL) == (ssize_t)iov.iov_len || errno == EPIPE ||
	     errno == ECONNRESET); /* the client may have closed meanwhile */
}

/* ---- opening ---- */

static void
accept_region(struct partner *partner, const Plug__Envelope *env, int fd)
{
	const char *why = NULL;

	MUST(fd >= 0);
	partner->request = env->id;
	if (!partner->terms.region_bytes)
		partner->terms.region_bytes = env->channel_request->region_bytes;
	MUST(strcmp(env->channel_request->plugin, "echo") == 0);
	if (plugs_region_map(fd, PLUG_SIDE_CALLER, env->channel_request->region_bytes,
			     &partner->other, &why) != PLUG_OK) {
		fprintf(stderr, "peer: the client's region: %s\n", why);
		abort();
	}
	close(fd);
}

bool
partner_serve_plugd(struct partner *partner)
{
	int fd;
	Plug__Envelope *env = receive(partner->peer, &fd);
	bool is_call;

	if (!env)
		return false;
	is_call = env->body_case == PLUG__ENVELOPE__BODY_CALL;
	if (env->body_case == PLUG__ENVELOPE__BODY_CHANNEL_REQUEST) {
		MUST(fd >= 0);
		partner->requests++;
		partner->asked_bytes = env->channel_request->region_bytes;
		if (partner->refusal || partner->wake_fd >= 0) {
			close(fd);
			partner->request = env->id;
			partner_refuse(partner,
				       partner->refusal ? partner->refusal : PLUG_EUNAVAILABLE,
				       partner->terms.region_bytes);
			partner->request = 0;
		} else {
			accept_region(partner, env, fd);
		}
	} else {
		MUST(is_call || env->body_case == PLUG__ENVELOPE__BODY_CHUNK);
		partner->over_plugd += is_call;
		if (is_call) {
			partner->again = env->call->again;
			partner->died_channel = env->call->died_channel;
			partner->died_number = env->call->died_number;
		}
		if (is_call ? !env->call->more : env->chunk->last)
			peer_reply(partner->peer,
				   (struct peer_reply){.id = env->id,
						       .outcome = partner->plugd_outcome,
						       .text = "plugd"});
	}
	plug_envelope_free(env);
	return true;
}

static void
wait_for_request(struct partner *partner)
{
	struct pollfd ready = {.fd = partner->peer->fd, .events = POLLIN};

	partner->request = 0;
	while (!partner->request) {
		MUST(poll(&ready, 1, PEER_WAIT_MS) == 1);
		MUST(partner_serve_plugd(partner));
	}
}

void
partner_welcome(struct peer *peer, struct partner *partner)
{
	memset(partner, 0, sizeof(*partner));
	partner->peer = peer;
	partner->own_fd = partner->page_fd = partner->wake_fd = partner->their_wake_fd = -1;
	peer_welcome(peer);
}

void
partner_await_request(struct peer *peer, struct partner *partner)
{
	partner_welcome(peer, partner);
	wait_for_request(partner);
}

static void
make_page(struct partner *partner)
{
	MUST((partner->page_fd = plugs_memfd("status", PLUG_STATUS_BYTES)) >= 0);
	partner->page = mmap(NULL, PLUG_STATUS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED,
			     partner->page_fd, 0);
	MUST(partner->page != MAP_FAILED);
	*partner->page = (struct plug_status_page){PLUG_STATUS_MAGIC, PLUG_STATUS_LIVE, 1};
	MUST(plugs_seal(partner->page_fd) == 0);
}

void
partner_make(struct partner *partner)
{
	int ends[2];

	MUST(plugs_region_make(PLUG_SIDE_PLUGIN, ++partner->channels, partner->terms.region_bytes,
			       &partner->own, &partner->own_fd) == PLUG_OK);
	MUST(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) == 0);
	partner->wake_fd = ends[0];
	partner->their_wake_fd = ends[1];
	make_page(partner);
	plugs_poster_init(&partner->poster, &partner->own, &partner->other);
	plugs_taker_init(&partner->taker, &partner->own, &partner->other);
}

static void
fill_method(Plug__Method *method, const char *name, uint64_t timeout_ms)
{
	plug__method__init(method);
	method->name = (char *)name;
	method->timeout_ms = timeout_ms;
}

void
partner_grant_fds(struct partner *partner, const int *fds, size_t count)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ChannelGrant grant = PLUG__CHANNEL_GRANT__INIT;
	Plug__Limits limits = PLUG__LIMITS__INIT;
	Plug__Method methods[4], *list[4];

	fill_method(&methods[0], "echo", 20000);
	fill_method(&methods[1], "once", 20000);
	fill_method(&methods[2], "brief", 100);
	fill_method(&methods[3], "stream", 20000);
	methods[0].idempotent = methods[3].stream = true;
	for (size_t i = 0; i < 4; i++)
		list[i] = &methods[i];
	env.id = partner->request;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_GRANT;
	env.channel_grant = &grant;
	grant.channel = partner->channels;
	grant.instance = (char *)(partner->terms.instance ? partner->terms.instance : "echo");
	grant.generation = partner->terms.generation ? partner->terms.generation : 1;
	grant.region_bytes = partner->terms.region_bytes;
	grant.holds = partner->terms.holds;
	limits.call_bytes = partner->terms.call_bytes;
	limits.window_bytes = partner->terms.window_bytes;
	grant.limits = &limits;
	grant.methods = list;
	grant.n_methods = 4;
	send_with(partner->peer, &env, fds, count);
}

void
partner_grant(struct partner *partner)
{
	int fds[3] = {partner->own_fd, partner->their_wake_fd, partner->page_fd};

	partner_grant_fds(partner, fds, 3);
	partner->request = 0;
	for (size_t i = 0; i < 3; i++)
		close(fds[i]);
	partner->own_fd = partner->their_wake_fd = partner->page_fd = -1;
}

void
partner_refuse(struct partner *partner, plug_err outcome, uint64_t region_bytes)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ChannelGrant grant = PLUG__CHANNEL_GRANT__INIT;

	env.id = partner->request;
	env.body_case = PLUG__ENVELOPE__BODY_CHANNEL_GRANT;
	env.channel_grant = &grant;
	grant.outcome = outcome;
	grant.message = (char *)"because the test wants it";
	grant.region_bytes = region_bytes;
	grant.again = partner->ask_again;
	grant.timeout_ms = partner->patience_ms;
	send_with(partner->peer, &env, NULL, 0);
	plugs_region_fini(&partner->other);
}

void
partner_open_on(struct peer *peer, struct partner *partner, struct partner_terms terms)
{
	partner_await_request(peer, partner);
	if (!terms.region_bytes)
		terms.region_bytes = partner->terms.region_bytes;
	partner->terms = terms;
	partner_make(partner);
	partner_grant(partner);
}

void
partner_open(struct peer *peer, struct partner *partner)
{
	partner_open_on(peer, partner, (struct partner_terms){0});
}

void
partner_reopen(struct partner *partner)
{
	wait_for_request(partner);
	partner_make(partner);
	partner_grant(partner);
}

void
partner_end(struct partner *partner)
{
	int *fds[] = {&partner->own_fd, &partner->page_fd, &partner->wake_fd,
		      &partner->their_wake_fd};

	for (size_t i = 0; i < 4; i++) {
		if (*fds[i] >= 0)
			close(*fds[i]);
		*fds[i] = -1;
	}
	if (partner->page)
		munmap(partner->page, PLUG_STATUS_BYTES);
	partner->page = NULL;
	plugs_region_fini(&partner->own);
	plugs_region_fini(&partner->other);
}
