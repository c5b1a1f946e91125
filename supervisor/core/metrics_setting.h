/*
 * `metrics` of plugd.yaml: true, false, or where to listen.
 *
 * It is short for what could be said under plugins: the plugin of this name starts with plugd, and
 * listens there.
 */
#ifndef PLUGD_METRICS_SETTING_H
#define PLUGD_METRICS_SETTING_H

#include "core/fields.h"

#define METRICS_PLUGIN "metrics"

struct settings_metrics {
	bool on;
	const char *listen; /* ADDRESS:PORT, or NULL: as the plugin has it */
};

extern const struct field_type field_metrics; /* struct settings_metrics */

/*
 * What is laid over the plugin's manifest: what `plugins:` says of it (`more`; NULL: nothing), and
 * this.  Both were decoded without an error; `at` is the value of `metrics`, which is on.  NULL
 * after an error: they contradict each other, or there is no memory.
 */
const struct yaml_node *metrics_setting_lay_over(struct field_ctx *ctx, const struct yaml_node *at,
						 const struct settings_metrics *metrics,
						 const struct yaml_node *more);

#endif
