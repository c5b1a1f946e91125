#include "core/manifest_check.h"

#include <string.h>

#include "core/manifest.h"

static void
error_at(struct field_ctx *ctx, const struct yaml_node *node, const struct manifest *manifest,
	 const char *path, const char *message)
{
	const struct diag_pos *origin = fields_origin(manifest->origins, path);
	struct diag_pos pos = origin ? *origin : field_pos(ctx, node);

	diag_error(ctx->diags, &pos, "%s: %s", path, message);
}

/* Names that the author put where they exclude each other. */
static void
check_conflicts(struct field_ctx *ctx, const struct yaml_node *node, const struct manifest *m)
{
	const struct manifest_requirements *required = &m->requires.plugins;

	if (m->plugin && field_strings_have(&m->conflicts, m->plugin))
		error_at(ctx, node, m, "conflicts",
			 "a plugin cannot conflict with itself; expected other plugins");
	for (size_t i = 0; i < required->count; i++)
		if (field_strings_have(&m->conflicts, required->items[i].name))
			diag_error(ctx->diags, &required->items[i].pos,
				   "requires.plugins: found \"%s\", with which it conflicts; "
				   "expected a plugin that may run beside it",
				   required->items[i].name);
	for (size_t i = 0; i < m->provides.exclusive.count; i++)
		if (field_strings_have(&m->provides.shared, m->provides.exclusive.items[i]))
			error_at(ctx, node, m, "provides.exclusive",
				 "a capability is either shared or exclusive; expected it in one "
				 "of the lists");
}

static void
check_requirements(struct field_ctx *ctx, const struct manifest *m)
{
	for (size_t i = 0; m->plugin && i < m->requires.plugins.count; i++) {
		const struct manifest_requirement *requirement = &m->requires.plugins.items[i];

		if (!strcmp(requirement->name, m->plugin))
			diag_error(ctx->diags, &requirement->pos,
				   "requires.plugins: \"%s\" cannot require itself; expected other "
				   "plugins",
				   m->plugin);
	}
}

static bool
is_below(const char *dir, const char *path)
{
	size_t length = strlen(dir);

	return !strncmp(path, dir, length) && path[length] == '/' && !strstr(path, "/..");
}

void
manifest_check_together(struct field_ctx *ctx, const struct yaml_node *node, void *dest)
{
	const struct manifest *m = dest;

	if (m->run.backoff.min_ms > m->run.backoff.max_ms)
		error_at(ctx, node, m,
			 fields_origin(m->origins, "run.backoff.max") ? "run.backoff.max"
								      : "run.backoff.min",
			 "backoff.min is longer than backoff.max; expected it to be shorter");
	if (m->probe.method && m->probe.timeout_ms > m->probe.interval_ms)
		error_at(ctx, node, m, "probe.timeout",
			 "probe.timeout is longer than probe.interval; expected it to be shorter");
	check_conflicts(ctx, node, m);
	check_requirements(ctx, m);
	if (m->environment.python && !is_below(ctx->base_dir, m->environment.python))
		error_at(ctx, node, m, "environment.python",
			 "is outside the plugin's folder; expected a requirements file that comes "
			 "with it");
	commands_check(ctx, node, &m->commands, m->plugin);
}
