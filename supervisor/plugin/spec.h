/*
 * What to run: a manifest with the layers of configuration applied, immutable.
 *
 * Everything it points to lives as long as it does.  A manifest may serve several specs, one after
 * the other, when only the configuration changes; it goes with the last of them.
 */
#ifndef PLUGD_SPEC_H
#define PLUGD_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "core/backoff.h"
#include "core/effective.h"
#include "core/manifest.h"

struct spec_method {
	const char *name, *description;
	bool stream, idempotent;
	uint64_t timeout_ms; /* 0: none declared */
};

struct spec_config {
	const char *key, *type, *description;
	const char *value;        /* canonical text, as in ConfigEntry; NULL: not set */
	const char *shown;        /* the same for people, *** for a secret */
	const char *origin;       /* "default", "plugd.yaml:12:3", … */
	const char *const *items; /* of a list */
	size_t item_count;
	bool secret, required;
};

struct spec {
	struct arena arena;
	struct spec_source *source; /* private: who else uses the manifest */
	const struct manifest *manifest;
	struct effective *effective;

	const char *name, *version, *type;
	const char *folder, *path; /* absolute; path is the manifest's */
	const char *const *argv;   /* NULL-terminated */
	const char *program;       /* absolute */
	unsigned priority;         /* 0..999, higher first */

	bool autostart;
	enum restart_policy restart;
	uint64_t backoff_min_ms, backoff_max_ms;
	uint32_t max_failures;
	uint64_t start_timeout_ms, stop_timeout_ms;

	const struct spec_method *methods;
	size_t method_count;
	const struct spec_config *config;
	size_t config_count;
};

struct spec_layers {
	char *const *environment; /* plugd's own, NULL-terminated */
	const char *const *set;   /* "key=value" of plugctl start --set */
	size_t set_count;
};

/* Takes `manifest`, also when it fails: NULL after at least one error was added. */
struct spec *spec_new(struct manifest *manifest, const struct spec_layers *layers,
		      struct diags *diags);

/* The same manifest with other layers.  NULL after at least one error was added; `spec` is as
 * before. */
struct spec *spec_with(const struct spec *spec, const struct spec_layers *layers,
		       struct diags *diags);

void spec_free(struct spec *spec); /* NULL is allowed */

const struct spec_method *spec_method(const struct spec *spec, const char *name);

#endif
