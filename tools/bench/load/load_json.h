/* A load and what it took, as `plugctl bench --json` and `plugbench --json` say it. */
#ifndef LOAD_JSON_H
#define LOAD_JSON_H

#include <jansson.h>

#include "load.h"

/* Times in microseconds.  The caller's. */
json_t *load_json(const struct load_plan *plan, const struct load_result *result);

#endif
