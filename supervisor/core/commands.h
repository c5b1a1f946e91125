/*
 * Commands that a plugin adds to plugctl, as its manifest declares them.
 *
 *   commands:
 *     convert:
 *       help: converts an image
 *       method: convert
 *       options: { quality: { type: int, min: 1, max: 100, default: 90, letter: q, help: … } }
 *       args: [{ name: file, type: path, required: true, help: … }]
 *
 * Pure, like everything of a manifest; plugctl checks its words with the same values.
 */
#ifndef PLUGD_COMMANDS_H
#define PLUGD_COMMANDS_H

#include "core/fields.h"
#include "core/schema.h"

#define COMMANDS_MAX       64 /* of one plugin */
#define COMMAND_OPTIONS    32
#define COMMAND_ARGS       16
#define COMMAND_TEXT_BYTES ((size_t)32 * 1024) /* all that is said of one */

/* An option, or an argument by its place. */
struct command_value {
	const char *name;
	const char *letter; /* one character; NULL: none.  Options only */
	const char *help;   /* or NULL */
	bool required;
	bool many;             /* the last argument: as many as there are */
	const char *fallback;  /* the default, as schema_decode_text() reads it; NULL: none */
	struct schema_key key; /* what it may be */

	/* while it is decoded */
	int type;
	struct field_strings values;
	bool unused;
};

struct command {
	const char *name;
	const char *help;
	const char *method; /* as declared; command_method() knows the default */
	struct field_strings aliases;
	bool takes_stdin;
	struct field_entries options; /* struct command_value */
	struct field_sections args;   /* struct command_value */
};

extern const struct field_table command_table;
extern const struct field_names field_command_names;

/* What only all of them together can get wrong; `node` is the manifest's, `plugin` its name. */
void commands_check(struct field_ctx *ctx, const struct yaml_node *node,
		    const struct field_entries *commands, const char *plugin);

/* Of the plugin that is called. */
const char *command_method(const struct command *command);

/* The command of this name or alias, or NULL. */
const struct command *commands_find(const struct field_entries *commands, const char *word);

/* The first word, name or alias, of `left` that is one of `right`, too; NULL: there is none. */
const char *commands_clash(const struct field_entries *left, const struct field_entries *right);

/* Words that are plugctl's own, now or one day: no command may have them.  Ends with NULL. */
extern const char *const commands_reserved[];

#endif
