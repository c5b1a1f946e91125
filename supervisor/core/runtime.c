#include "core/runtime.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/text.h"

#define ARENA_BYTES ((size_t)8 * 1024 * 1024)

struct runtime *
runtime_new(void)
{
	struct runtime *runtime = calloc(1, sizeof(*runtime));

	if (runtime)
		arena_init(&runtime->arena, ARENA_BYTES);
	return runtime;
}

void
runtime_free(struct runtime *runtime)
{
	if (!runtime)
		return;
	arena_fini(&runtime->arena);
	free(runtime);
}

const struct runtime_value *
runtime_find(const struct runtime *runtime, const char *key)
{
	for (size_t i = 0; i < runtime->value_count; i++)
		if (!strcmp(runtime->values[i].key, key))
			return &runtime->values[i];
	return NULL;
}

void
runtime_origin(const struct runtime_value *value, char buffer[RUNTIME_ORIGIN_BYTES])
{
	time_t seconds = (time_t)(value->time_ms / 1000);
	char when[32] = "?";
	struct tm tm;

	if (!value->number) {
		snprintf(buffer, RUNTIME_ORIGIN_BYTES, "config set");
		return;
	}
	if (gmtime_r(&seconds, &tm))
		strftime(when, sizeof(when), "%Y-%m-%d %H:%M:%S UTC", &tm);
	snprintf(buffer, RUNTIME_ORIGIN_BYTES, "config set, change %" PRIu32 " of %s",
		 value->number, when);
}

/* ---- a change ---- */

static int
by_key(const void *a, const void *b)
{
	const struct runtime_value *one = a, *other = b;

	return strcmp(one->key, other->key);
}

static bool
same_text(const char *a, const char *b)
{
	return a && b ? !strcmp(a, b) : a == b;
}

/* What is left of the edits, with what was before them; copied. */
static size_t
keep_edits(struct runtime *to, const struct runtime *from, const struct runtime_change *change,
	   struct runtime_edit *edits)
{
	size_t count = 0;

	for (size_t i = 0; i < change->count; i++) {
		const struct runtime_edit *edit = &change->edits[i];
		const struct runtime_value *before = runtime_find(from, edit->key);

		if (same_text(before ? before->text : NULL, edit->after))
			continue;
		edits[count++] = (struct runtime_edit){
			.key = arena_strdup(&to->arena, edit->key),
			.before = arena_strdup(&to->arena, before ? before->text : NULL),
			.after = arena_strdup(&to->arena, edit->after),
			.secret = edit->secret,
		};
	}
	return count;
}

static const struct runtime_edit *
edit_of(const struct runtime_change *change, const char *key)
{
	for (size_t i = 0; i < change->count; i++)
		if (!strcmp(change->edits[i].key, key))
			return &change->edits[i];
	return NULL;
}

static void
keep_values(struct runtime *to, const struct runtime *from, const struct runtime_change *change)
{
	struct runtime_value *values =
		arena_array(&to->arena, from->value_count + change->count + 1, sizeof(*values));
	size_t count = 0;

	for (size_t i = 0; values && i < from->value_count; i++) {
		const struct runtime_value *value = &from->values[i];

		if (edit_of(change, value->key))
			continue;
		values[count] = *value;
		values[count].key = arena_strdup(&to->arena, value->key);
		values[count++].text = arena_strdup(&to->arena, value->text);
	}
	for (size_t i = 0; values && i < change->count; i++)
		if (change->edits[i].after)
			values[count++] =
				(struct runtime_value){change->edits[i].key, change->edits[i].after,
						       change->number, change->time_ms};
	if (to->arena.failed)
		return;
	qsort(values, count, sizeof(*values), by_key);
	to->values = values;
	to->value_count = count;
}

static struct runtime_change
copy_change(struct arena *arena, const struct runtime_change *change)
{
	struct runtime_change copy = *change;
	struct runtime_edit *edits = arena_array(arena, change->count + 1, sizeof(*edits));

	copy.what = arena_strdup(arena, change->what);
	copy.edits = edits;
	for (size_t i = 0; edits && i < change->count; i++)
		edits[i] = (struct runtime_edit){
			.key = arena_strdup(arena, change->edits[i].key),
			.before = arena_strdup(arena, change->edits[i].before),
			.after = arena_strdup(arena, change->edits[i].after),
			.secret = change->edits[i].secret,
		};
	return copy;
}

static void
keep_changes(struct runtime *to, const struct runtime *from, const struct runtime_change *last)
{
	size_t room = RUNTIME_CHANGES - (last->count ? 1 : 0);
	size_t first = from->change_count > room ? from->change_count - room : 0;
	struct runtime_change *changes =
		arena_array(&to->arena, from->change_count + 1, sizeof(*changes));
	size_t count = 0;

	for (size_t i = first; changes && i < from->change_count; i++)
		changes[count++] = copy_change(&to->arena, &from->changes[i]);
	if (changes && last->count)
		changes[count++] = *last;
	to->changes = changes;
	to->change_count = count;
	to->last_number = last->count ? last->number : from->last_number;
}

static size_t
bytes_of(const struct runtime *runtime)
{
	size_t bytes = 0;

	for (size_t i = 0; i < runtime->value_count; i++)
		bytes += strlen(runtime->values[i].key) + strlen(runtime->values[i].text);
	return bytes;
}

static bool
are_clean(const struct runtime_change *change, struct diags *diags)
{
	bool clean = true;

	for (size_t i = 0; i < change->count; i++) {
		const struct runtime_edit *edit = &change->edits[i];

		if (!edit->after || text_is_clean(edit->after, strlen(edit->after)))
			continue;
		diag_error(diags, &(struct diag_pos){.file = "config set"},
			   "%s: expected text in UTF-8 without control characters", edit->key);
		clean = false;
	}
	return clean;
}

struct runtime *
runtime_apply(const struct runtime *runtime, const struct runtime_change *change,
	      struct diags *diags)
{
	static const struct diag_pos pos = {.file = "config set"};
	size_t before = diags->errors;
	struct runtime *to = are_clean(change, diags) ? runtime_new() : NULL;
	struct runtime_change own = *change;
	struct runtime_edit *edits =
		to ? arena_array(&to->arena, change->count + 1, sizeof(*edits)) : NULL;

	if (edits) {
		own.number = runtime->last_number + 1;
		own.what = arena_strdup(&to->arena, change->what);
		own.edits = edits;
		own.count = keep_edits(to, runtime, change, edits);
		keep_values(to, runtime, &own);
		keep_changes(to, runtime, &own);
	}
	if (diags->errors != before)
		return NULL;
	if (!edits || to->arena.failed)
		diag_error(diags, &pos, "out of memory");
	else if (bytes_of(to) > RUNTIME_VALUES_BYTES)
		diag_error(diags, &pos,
			   "all values together take %zu bytes; at most %u are possible",
			   bytes_of(to), RUNTIME_VALUES_BYTES);
	else
		return to;
	runtime_free(to);
	return NULL;
}

/* ---- the way back ---- */

static struct runtime_edit *
find_edit(struct runtime_edit *edits, size_t count, const char *key)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(edits[i].key, key))
			return &edits[i];
	return NULL;
}

static void
undo(const struct runtime *runtime, const struct runtime_change *change, struct runtime_edit *edits,
     size_t *count)
{
	for (size_t i = 0; i < change->count; i++) {
		const struct runtime_edit *edit = &change->edits[i];
		const struct runtime_value *now = runtime_find(runtime, edit->key);
		struct runtime_edit *back = find_edit(edits, *count, edit->key);

		if (!back)
			back = &edits[(*count)++];
		*back = (struct runtime_edit){edit->key, now ? now->text : NULL, edit->before,
					      edit->secret || back->secret};
	}
}

static bool
leads_back(const struct runtime *runtime, uint32_t number, struct diags *diags)
{
	static const struct diag_pos pos = {.file = "history"};
	uint32_t oldest = runtime->last_number - (uint32_t)runtime->change_count;

	if (number > runtime->last_number)
		diag_error(diags, &pos, "there is no change %" PRIu32 "; the last one is %" PRIu32,
			   number, runtime->last_number);
	else if (number < oldest)
		diag_error(diags, &pos,
			   "what came after change %" PRIu32 " is not kept any more; the oldest "
			   "that can be gone back to is %" PRIu32,
			   number, oldest);
	else
		return true;
	return false;
}

const struct runtime_edit *
runtime_way_back(const struct runtime *runtime, uint32_t number, struct arena *arena,
		 size_t *ret_count, struct diags *diags)
{
	struct runtime_edit *edits;
	size_t most = 0, count = 0;

	if (!leads_back(runtime, number, diags))
		return NULL;
	for (size_t i = 0; i < runtime->change_count; i++)
		most += runtime->changes[i].count;
	edits = arena_array(arena, most + 1, sizeof(*edits));
	if (!edits) {
		diag_error(diags, &(struct diag_pos){.file = "history"}, "out of memory");
		return NULL;
	}
	for (size_t i = runtime->change_count; i && runtime->changes[i - 1].number > number; i--)
		undo(runtime, &runtime->changes[i - 1], edits, &count);
	*ret_count = count;
	return edits;
}
