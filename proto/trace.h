/*
 * Where a dying process was: what an instance sends on the broker socket after its dying byte
 * (channel.h), once, in one packet of exactly this size.  Both sides are on one machine, so the
 * words are as that machine has them.
 *
 * The first byte of the magic is none that an Envelope can begin with.  Nothing in it is believed
 * more than a plugin's word is: it is shown to people, and decides only about the process's own
 * requests.
 */
#ifndef PLUG_TRACE_H
#define PLUG_TRACE_H

#include <stdint.h>

#define PLUG_TRACE_MAGIC   0x314543415254ffffull /* ff ff "TRACE1" */
#define PLUG_TRACE_FRAMES  48                    /* the innermost ones; no more are sent */
#define PLUG_TRACE_MODULES 16
#define PLUG_TRACE_PATH    160 /* with the NUL; of a longer path, its end */

struct plug_trace_frame {
	uint64_t offset; /* as the module's own symbols count: what addr2line takes */
	uint32_t module; /* PLUG_TRACE_MODULES: in none, and `offset` is the address */
	uint32_t pad;
};

struct plug_trace {
	uint64_t magic;
	uint64_t address;  /* of siginfo_t, as are signal, code and sender */
	uint64_t resident; /* bytes of its memory; 0: it could not see */
	int32_t signal, code;
	int32_t sender; /* its pid, as the dying process sees it; where code <= 0 */
	int32_t self;   /* the dying process's pid, as it sees it */
	int32_t thread; /* its id */
	char thread_name[16];
	uint32_t frame_count, module_count;
	uint32_t pad;
	struct plug_trace_frame frames[PLUG_TRACE_FRAMES]; /* innermost first */
	char modules[PLUG_TRACE_MODULES][PLUG_TRACE_PATH];
};

_Static_assert(sizeof(struct plug_trace) ==
		       72 + PLUG_TRACE_FRAMES * 16 + PLUG_TRACE_MODULES * PLUG_TRACE_PATH,
	       "no bytes that nobody wrote");

#endif
