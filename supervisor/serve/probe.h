/* plugd's own calls: the probe of a process.  Loop's thread only. */
#ifndef PLUGD_PROBE_H
#define PLUGD_PROBE_H

#include "serve/router.h"

/* host_ops.probe */
void probe_instance(struct router *router, struct instance *in);

/* What came of the call: the instance is told. */
void probe_on_outcome(struct relay *relay, plug_err outcome, const char *message);

#endif
