/* Whether what `metrics` of plugd.yaml wants can be. */
#ifndef PLUGD_CONFIG_METRICS_H
#define PLUGD_CONFIG_METRICS_H

#include "core/settings.h"

/* Adds a warning when the settings want metrics and no plugin was found that serves them. */
void config_check_metrics(const struct settings *settings, bool found, struct diags *diags);

#endif
