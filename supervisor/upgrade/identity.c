#include "upgrade/identity.h"

#include "wire.h"

const struct upgrade_identity upgrade_identity = {
	.version = PLUG_VERSION,
	.state = {STATE_VERSION, STATE_NEEDS},
};
