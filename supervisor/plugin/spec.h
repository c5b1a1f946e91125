/*
 * What to run: a manifest with the layers of configuration applied, immutable, counted.
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
#include "base/kept_text.h"
#include "core/backoff.h"
#include "core/effective.h"
#include "core/hang.h"
#include "core/manifest.h"
#include "os/packages.h"

#define SPEC_PIN_ARGUMENT_BYTES (INT64_C(64) << 20) /* a larger argument is data: not pinned */

/* A deadline where nobody may be hurried: run.debug. */
#define SPEC_DEBUG_MS (7ull * 24 * 3600 * 1000)

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
	const char *layer; /* the name of the one that it comes from */
	bool secret, required, live;
};

struct spec {
	unsigned refs;
	struct arena arena;
	struct spec_source *source; /* private: who else uses the manifest */
	const struct manifest *manifest;
	struct effective *effective;

	const char *name, *version, *type;
	const char *folder, *path; /* absolute; path is the manifest's */
	const char *const *argv;   /* NULL-terminated */
	const char *program;       /* absolute; of run.under where that is given */
	const char *under_program; /* of exec, where `program` is that of run.under */
	unsigned priority;         /* 0..999, higher first */

	bool autostart, watch;
	unsigned log_level; /* least that is kept, as in Log */
	bool debug;         /* nothing ends it for taking long */
	enum restart_policy restart;
	uint64_t backoff_min_ms, backoff_max_ms;
	uint32_t max_failures;
	uint64_t start_timeout_ms, stop_timeout_ms;
	unsigned instances, standby;
	const char *probe_method; /* NULL: none */
	uint64_t probe_interval_ms, probe_timeout_ms;
	struct hang_policy hang;

	const struct spec_method *methods;
	size_t method_count;
	const struct spec_config *config;
	size_t config_count;
	uint64_t fingerprint;   /* of the texts that it was made from; 0: not known */
	const char *const *set; /* the layer of start --set that it was made with */
	size_t set_count;
	const struct runtime_value *runtime; /* the layer of config set, likewise */
	size_t runtime_count;
	const struct effective_file *files; /* that hold values, as they were read */
	size_t file_count;
};

/* A file that was pinned when the plugin was installed: checked whenever it is started. */
struct spec_pin {
	const char *path; /* absolute */
	unsigned char digest[32];
};

struct spec_layers {
	char *const *environment; /* plugd's own, NULL-terminated */
	const char *const *set;   /* "key=value" of plugctl start --set */
	size_t set_count;
	const struct runtime_value *runtime; /* of plugctl config set */
	size_t runtime_count;
	const struct effective_file *files; /* that were read before: not again */
	size_t file_count;
	/* NULL: the program is looked for, and what else is required.  Else it was found before,
	 * and is taken as it is. */
	const char *program;
};

/* Takes `manifest`, also when it fails: NULL after at least one error was added. */
struct spec *spec_new(struct manifest *manifest, const struct spec_layers *layers,
		      struct diags *diags);

/* The same manifest with other layers.  NULL after at least one error was added; `spec` is as
 * before. */
struct spec *spec_with(const struct spec *spec, const struct spec_layers *layers,
		       struct diags *diags);

/* The layers that it was made with, and its program. */
struct spec_layers spec_layers_of(const struct spec *spec);

/* Of the same keys: how many have another value in `to`; *ret_all_live: all of those are live. */
size_t spec_changed_keys(const struct spec *from, const struct spec *to, bool *ret_all_live);
bool spec_key_changed(const struct spec *from, const struct spec_config *to);

/* The texts that it was made from: its manifest's, and plugd.yaml's or NULL.  Takes references of
 * its own. */
void spec_keep(struct spec *spec, struct kept_text *manifest, struct kept_text *settings);
struct kept_text *spec_manifest_text(const struct spec *spec); /* NULL: not kept */
struct kept_text *spec_settings_text(const struct spec *spec);

/* What is checked before its program is executed; copied, and kept by the specs that share its
 * manifest.  False: out of memory. */
bool spec_set_pins(struct spec *spec, const struct spec_pin *pins, size_t count);
const struct spec_pin *spec_pins(const struct spec *spec, size_t *ret_count);

/* Where its Python looks for what requires.packages names. */
struct packages_look spec_packages(const struct spec *spec);

struct spec *spec_ref(struct spec *spec);

/* Gives one reference back; NULL is allowed. */
void spec_free(struct spec *spec);

const struct spec_method *spec_method(const struct spec *spec, const char *name);

#endif
