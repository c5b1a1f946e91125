/* Following what a plugin prints, on a thread of its own. */
#ifndef PLUGCTL_LOGS_H
#define PLUGCTL_LOGS_H

#include <pthread.h>

#include "ctl.h"

struct logs_follower {
	struct ctl ctl; /* its own connection */
	const char *name;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t news;
	uint64_t shown; /* lines, under the lock */
	bool ended;     /* likewise */
};

/* Print every line that plugd keeps of the plugin, then new ones as they come, until the connection
 * ends.  False: no thread, or no connection, as was said on stderr. */
bool logs_follow(struct logs_follower *follower, const struct ctl *ctl, const char *name);

/* Wait until all lines that plugd has now are printed; `ctl` is another connection.  At most 2 s.
 */
void logs_catch_up(struct logs_follower *follower, struct ctl *ctl);

/* After plugd's end. */
void logs_unfollow(struct logs_follower *follower);

#endif
