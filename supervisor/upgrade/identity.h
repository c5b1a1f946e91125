/* Which plugd this is, to the one that hands over to it.  Another file makes another plugd: the
 * tests have some. */
#ifndef PLUGD_UPGRADE_IDENTITY_H
#define PLUGD_UPGRADE_IDENTITY_H

#include "state/state.h"

struct upgrade_identity {
	const char *version;
	struct state_versions state;
	/* NULL, or asked before the state is made anew, dry or not: false, with `why`, refuses. */
	bool (*accept)(bool dry, char *why, size_t size);
};

extern const struct upgrade_identity upgrade_identity;

#endif
