/*
 * The runtime layer of a plugin's configuration: the values that an operator set while plugd ran,
 * and how they came to be.
 *
 * Immutable: a change makes another one.  Changes are numbered from 1 and never counted anew; the
 * last RUNTIME_CHANGES of them are kept.  Values are text as it was given, not yet checked against
 * a schema.  Read by any thread; pure.
 */
#ifndef PLUGD_RUNTIME_H
#define PLUGD_RUNTIME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/diag.h"
#include "core/yaml.h"

#define RUNTIME_CHANGES      50
#define RUNTIME_EDITS        256          /* of one change */
#define RUNTIME_BYTES        YAML_BYTES   /* of the whole as text */
#define RUNTIME_VALUES_BYTES (48u * 1024) /* of all keys and values: as EFFECTIVE_BYTES */
#define RUNTIME_ORIGIN_BYTES 64

struct runtime_value {
	const char *key, *text;
	uint32_t number;  /* of the change that set it */
	uint64_t time_ms; /* since the epoch: of that change */
};

/* One key of a change; NULL: the layer does not set it. */
struct runtime_edit {
	const char *key, *before, *after;
	bool secret;
};

struct runtime_change {
	uint32_t number;
	uint64_t time_ms; /* since the epoch */
	uint32_t uid;     /* of who asked for it */
	const char *what; /* "set", "unset", "rollback to 3", … */
	const struct runtime_edit *edits;
	size_t count;
};

struct runtime {
	struct arena arena;                 /* of all below */
	const struct runtime_value *values; /* sorted by key */
	size_t value_count;
	const struct runtime_change *changes; /* oldest first */
	size_t change_count;
	uint32_t last_number; /* of the last change; 0: there was none */
};

/* Nothing set, no change.  NULL when memory is short.  Freed with runtime_free(). */
struct runtime *runtime_new(void);
void runtime_free(struct runtime *runtime);

const struct runtime_value *runtime_find(const struct runtime *runtime, const char *key);

/*
 * The runtime after this change: of `change`, time_ms, uid, what and of each edit key, after and
 * secret are read; each key is there once.  Edits that change nothing are left out; when none is
 * left the result has no new change.  NULL after an error was added; `runtime` stays.
 */
struct runtime *runtime_apply(const struct runtime *runtime, const struct runtime_change *change,
			      struct diags *diags);

/*
 * The edits that lead back to how it was after change `number` (0: before the first), in `arena`;
 * NULL after an error was added: no such change, or not all that came after it is kept.
 */
const struct runtime_edit *runtime_way_back(const struct runtime *runtime, uint32_t number,
					    struct arena *arena, size_t *ret_count,
					    struct diags *diags);

/* "config set, change 7 of 2026-01-31 12:00:00 UTC"; "config set" where it has no number yet */
void runtime_origin(const struct runtime_value *value, char buffer[RUNTIME_ORIGIN_BYTES]);

/* ---- as text: what is kept on disk ---- */

/* NULL after an error was added. */
struct runtime *runtime_parse(const struct yaml_source *source, struct diags *diags);

/* At most RUNTIME_BYTES: of the oldest changes as many are left out as have to be.  malloc'ed;
 * NULL when memory is short. */
char *runtime_format(const struct runtime *runtime, size_t *ret_size);

#endif
