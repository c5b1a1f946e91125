/* Shared by state.c (writing) and state_in.c (reading). */
#ifndef PLUGD_STATE_PRIVATE_H
#define PLUGD_STATE_PRIVATE_H

#include <stdint.h>

#define STATE_MAGIC UINT64_C(0x6574617473676c70) /* "plgstate" */

struct state_head {
	uint64_t magic;
	uint32_t version, needs;
	uint64_t size; /* of what follows */
};

#endif
