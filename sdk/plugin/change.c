#include "change.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "state.h"

struct change *
plugp_change_new(struct plug_plugin *plugin, const Plug__Config *config)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change)
		return NULL;
	change->number = config->number;
	change->back = config->back;
	change->table = plugp_settings_table(&plugin->settings, config->config, config->n_config);
	if (change->table)
		return change;
	free(change);
	return NULL;
}

void
plugp_change_free(struct change *change)
{
	plugp_settings_drop(change->table);
	free(change);
}

plug_err
plug_config_refused(struct plug_plugin *plugin, plug_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(plugin->config_error, sizeof(plugin->config_error), format, args);
	va_end(args);
	return err;
}

static void
tell(struct plug_plugin *plugin, uint64_t number, plug_err outcome)
{
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	Plug__ConfigResult result = PLUG__CONFIG_RESULT__INIT;

	result.number = number;
	result.outcome = (uint32_t)outcome;
	if (outcome != PLUG_OK)
		result.message = (char *)(plugin->config_error[0] ? plugin->config_error
								  : plug_err_text(outcome));
	env.body_case = PLUG__ENVELOPE__BODY_CONFIG_RESULT;
	env.config_result = &result;
	plugp_outbox_push(&plugin->outbox, &env);
}

void
plugp_change_decide(struct plug_plugin *plugin, struct change *change)
{
	plug_err outcome = PLUG_OK;

	plugin->config_error[0] = '\0';
	plugp_settings_offer(&plugin->settings, change->table);
	change->table = NULL;
	if (plugin->config.on_config)
		outcome = plugin->config.on_config(plugin, plugin->config.user);
	/* What was in force before cannot be refused: the plugins beside this one have it. */
	plugp_settings_decide(&plugin->settings, outcome == PLUG_OK || change->back);
	tell(plugin, change->number, outcome);
	plugp_change_free(change);
}
