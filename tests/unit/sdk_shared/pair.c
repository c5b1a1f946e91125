#include "pair.h"

#include <sys/socket.h>
#include <unistd.h>

static void
make(struct plugs_region *own, struct plugs_region *seen, enum plug_region_side side,
     uint64_t region_bytes, bool shared_mapping)
{
	const char *why = NULL;
	int fd = -1;

	assert_int_equal(plugs_region_make(side, side == PLUG_SIDE_PLUGIN, region_bytes, own, &fd),
			 PLUG_OK);
	if (shared_mapping)
		*seen = *own;
	else
		assert_int_equal(plugs_region_map(fd, side, region_bytes, seen, &why), PLUG_OK);
	close(fd);
}

static void
start(struct side *side, int wake_fd)
{
	plugs_poster_init(&side->poster, &side->own, &side->peer);
	plugs_taker_init(&side->taker, &side->own, &side->peer);
	side->wake_fd = wake_fd;
}

void
pair_init(struct pair *pair, uint64_t region_bytes, bool shared_mapping)
{
	struct side *caller = &pair->caller, *plugin = &pair->plugin;
	int fds[2];

	make(&caller->own, &plugin->peer, PLUG_SIDE_CALLER, region_bytes, shared_mapping);
	make(&plugin->own, &caller->peer, PLUG_SIDE_PLUGIN, region_bytes, shared_mapping);
	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	start(caller, fds[0]);
	start(plugin, fds[1]);
}

void
pair_fini(struct pair *pair)
{
	if (pair->caller.own.head != pair->plugin.peer.head) {
		plugs_region_fini(&pair->caller.peer);
		plugs_region_fini(&pair->plugin.peer);
	}
	plugs_region_fini(&pair->caller.own);
	plugs_region_fini(&pair->plugin.own);
	close(pair->caller.wake_fd);
	close(pair->plugin.wake_fd);
}
