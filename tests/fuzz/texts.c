#include "texts.h"

#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "fuzz.h"

struct text
text_of(const void *bytes, size_t size)
{
	struct text text = {malloc(size ? size : 1), size};

	CHECK(text.bytes);
	if (size)
		memcpy(text.bytes, bytes, size);
	return text;
}

void
text_free(struct text *text)
{
	free(text->bytes);
	text->bytes = NULL;
}

struct yaml_source
text_source(const char *file, const struct text *text)
{
	return (struct yaml_source){.file = file, .text = text->bytes, .length = text->size};
}

static void
check_line(void *context, const char *line)
{
	size_t *lines = context, length = strlen(line);

	++*lines;
	CHECK(length > 0 && length < DIAG_LINE_BYTES);
	CHECK(text_is_clean(line, length) && !strchr(line, '\n'));
}

void
check_said(const struct diags *diags, bool accepted)
{
	size_t lines = 0, kept = 0, notes = 0;

	CHECK(accepted == (diags->errors == 0));
	for (const struct diag *diag = diags->first; diag; diag = diag->next) {
		notes += diag->severity == DIAG_NOTE;
		kept += diag->severity != DIAG_NOTE;
		CHECK(*diag->pos.file && *diag->message);
		CHECK(!diag->pos.line == !diag->pos.column);
	}
	CHECK(kept == diags->kept && kept <= DIAG_KEPT && notes == diags->notes);
	diags_each(diags, check_line, &lines);
	CHECK(lines == kept + notes + (diags->errors + diags->warnings > kept));
}
