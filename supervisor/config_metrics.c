#include "config_metrics.h"

void
config_check_metrics(const struct settings *settings, bool found, struct diags *diags)
{
	const struct diag_pos *pos = settings_origin(settings, "metrics");

	if (!settings->metrics.on || found || !pos)
		return;
	diag_warning(
		diags, pos,
		"metrics: no plugin \"" METRICS_PLUGIN
		"\" was found, so nothing serves them; add the folder of the plugins that came "
		"with plugd to plugin_dirs (that one is there if libmicrohttpd-dev was when plugd "
		"was built), or say metrics: false");
}
