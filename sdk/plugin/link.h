/*
 * The bytes below the session: nng's wire, without nng.
 *
 * A Unix socket on which this process speaks what an nng 1.5 pair1 socket does that dials over
 * ipc://: eight bytes of greeting each way, then frames of a byte 1, the length as a 64-bit
 * big-endian number, a 32-bit hop count and the body (nng_ipc(7), nng_pair(7)).  nng itself would
 * bring a dozen threads, through three of which every message goes, and in its version 1.5 hang or
 * crash when a connection ends while it is used.
 *
 * Everything here belongs to the thread that receives; what is sent is written by whoever sends
 * (outbox.h).
 */
#ifndef PLUG_SDK_LINK_H
#define PLUG_SDK_LINK_H

#include <plug/error.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/un.h>

#define LINK_HEAD_BYTES 13 /* of a frame: 1, length, hops */

struct plug_plugin;

struct link {
	struct sockaddr_un address;
	int fd;            /* the connection; -1: none */
	bool greeted;      /* plugd's greeting came */
	uint64_t retry_ns; /* no attempt to connect before */
	int wake_fd;       /* makes a receive return; written by any thread */

	uint8_t *buffer; /* received; from `at` to `used` not taken yet */
	size_t at, used;
};

/* Prepare for `address`, an ipc:// URL; the first receive connects.  PLUG_ENOMEM, or PLUG_ESYS
 * after a message to stderr. */
plug_err plugp_link_open(struct plug_plugin *plugin, const char *address);

/* End the connection; nothing is received any more. */
void plugp_link_fini(struct plug_plugin *plugin);

/*
 * The next body, valid until the next call; NULL when `timeout_ms` (-1: never) passed, somebody
 * called plugp_link_wake(), or something else is to be looked at first.  Connects when there is no
 * connection, says HELLO on a new one, and sends what waits for room meanwhile.
 */
const uint8_t *plugp_link_receive(struct plug_plugin *plugin, int timeout_ms, size_t *ret_size);

/* Let a receive return: the one under way or the next.  Any thread. */
void plugp_link_wake(const struct link *link);

/* The bytes before a body of this size. */
void plugp_link_head(uint8_t head[LINK_HEAD_BYTES], size_t size);

#endif
