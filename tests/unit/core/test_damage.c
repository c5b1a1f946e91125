/*
 * Damaged manifests: each of a thousand is refused with a place, whatever is wrong with it; and
 * random damage, which may be harmless, never crashes, hangs or is refused without a reason.
 * The seeds are fixed, so a failure repeats.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "support.h"

#define DAMAGED      1000
#define RANDOM       20000
#define BUFFER_BYTES 4096

static const char healthy[] = "plugin: gpt2\n"
			      "version: 1.2.0\n"
			      "type: model\n"
			      "exec: [./gpt2-plugin, --fast]\n"
			      "description: \"GPT-2 für alle\"\n"
			      "tags: [text, cpu]\n"
			      "priority: high\n"
			      "provides: [text-generation]\n"
			      "requires:\n"
			      "  host: \">=0.1\"\n"
			      "  plugins: [\"tokenizer >=1.0 <2\"]\n"
			      "  packages: [\"numpy >=1.26,<3\", pyyaml]\n"
			      "config:\n"
			      "  model: { type: path, required: true }\n"
			      "  device: { type: enum, values: [auto, cpu, cuda], default: auto }\n"
			      "  size: { type: int, min: 1, max: 1024, default: 32, live: true }\n"
			      "methods:\n"
			      "  generate: { stream: true, idempotent: true, timeout: 30s }\n"
			      "run:\n"
			      "  autostart: true\n"
			      "  restart: on-failure\n"
			      "  backoff: { min: 100ms, max: 30s }\n"
			      "  start_timeout: 60s\n"
			      "  env: { OMP_NUM_THREADS: \"2\" }\n";

struct damage {
	uint64_t random;
	char text[BUFFER_BYTES];
	size_t length;
};

static uint32_t
pick(struct damage *d, uint32_t below)
{
	d->random = d->random * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)((d->random >> 33) % below);
}

static void
reset(struct damage *d)
{
	d->length = sizeof(healthy) - 1;
	memcpy(d->text, healthy, sizeof(healthy));
}

static void
splice(struct damage *d, size_t at, size_t removed, const char *added, size_t length)
{
	assert_true(at + removed <= d->length && d->length - removed + length < BUFFER_BYTES);
	memmove(d->text + at + length, d->text + at + removed, d->length - at - removed + 1);
	memcpy(d->text + at, added, length);
	d->length += length - removed;
}

static size_t
line_start(const struct damage *d, size_t line)
{
	const char *at = d->text;

	while (line-- && strchr(at, '\n'))
		at = strchr(at, '\n') + 1;
	return (size_t)(at - d->text);
}

/* The n-th "word:" of the text that is a key of the format, not a name that the author chose. */
static size_t
find_key(struct damage *d, size_t *ret_length)
{
	static const char *const keys[] = {
		"plugin:",   "version:",       "type:",     "exec:",    "description:", "tags:",
		"priority:", "provides:",      "requires:", "host:",    "plugins:",     "packages:",
		"config:",   "required:",      "values:",   "default:", "live:",        "methods:",
		"stream:",   "idempotent:",    "timeout:",  "run:",     "autostart:",   "restart:",
		"backoff:",  "start_timeout:", "env:",
	};
	const char *key = keys[pick(d, sizeof(keys) / sizeof(keys[0]))];
	const char *at = strstr(d->text, key);

	assert_non_null(at);
	*ret_length = strlen(key) - 1;
	return (size_t)(at - d->text);
}

/* ---- damage that nothing may accept ---- */

static void
misspell_key(struct damage *d)
{
	size_t length, at = find_key(d, &length);

	splice(d, at + pick(d, (uint32_t)length), 0, "Q", 1);
}

static void
drop_required_line(struct damage *d)
{
	size_t at = line_start(d, pick(d, 4));

	splice(d, at, strcspn(d->text + at, "\n") + 1, "", 0);
}

static void
repeat_line(struct damage *d)
{
	size_t at = line_start(d, pick(d, 9)), length = strcspn(d->text + at, "\n") + 1;
	char line[256];

	memcpy(line, d->text + at, length);
	splice(d, at, 0, line, length);
}

static void
invalid_byte(struct damage *d)
{
	char byte = (char)(0xf8 + pick(d, 8));

	splice(d, pick(d, (uint32_t)d->length), 0, &byte, 1);
}

static void
control_byte(struct damage *d)
{
	char byte = (char)(1 + pick(d, 8));

	splice(d, pick(d, (uint32_t)d->length), 0, &byte, 1);
}

/* After "key: ", where a value begins. */
static void
spoil_value(struct damage *d, const char *added)
{
	size_t length, at = find_key(d, &length) + length + 1;

	splice(d, at, 0, added, strlen(added));
}

static void
add_anchor(struct damage *d)
{
	spoil_value(d, " &x");
}

static void
add_tag(struct damage *d)
{
	spoil_value(d, " !x");
}

static void
nest_value(struct damage *d)
{
	size_t at = line_start(d, pick(d, 9));

	at += strcspn(d->text + at, ":") + 1;
	splice(d, at, strcspn(d->text + at, "\n"), " [[x]]", 6);
}

static void
open_bracket(struct damage *d)
{
	spoil_value(d, " [");
}

static void
tab_indent(struct damage *d)
{
	static const size_t lines[] = {9, 10, 11, 13, 14, 15, 17, 19, 20, 21, 22, 23};

	splice(d, line_start(d, lines[pick(d, 12)]), 2, "\t", 1);
}

static void
second_document(struct damage *d)
{
	splice(d, line_start(d, 1 + pick(d, 23)), 0, "---\n", 4);
}

static void
bad_number(struct damage *d)
{
	static const char *const bad[][2] = {
		{"30s }", "30 }"},
		{"60s", "-60s"},
		{"100ms", "1h"},
		{"1024", "0"},
		{"32,", "3.2,"},
		{"1.2.0", "1.2"},
		{">=0.1", "=>0.1"},
		{"<2", "<two"},
		{"<3", "<three"},
		{"1.26", "1.26.x"},
		{"high", "1000"},
		{"true,", "True,"},
		{"on-failure", "on failure"},
		{"min: 1,", "min: x,"},
		{"auto }", "gpu }"},
		{"model\n", "modal\n"},
	};
	size_t which = pick(d, sizeof(bad) / sizeof(bad[0]));
	const char *at = strstr(d->text, bad[which][0]);

	assert_non_null(at);
	splice(d, (size_t)(at - d->text), strlen(bad[which][0]), bad[which][1],
	       strlen(bad[which][1]));
}

static void
bad_permission(struct damage *d)
{
	static const char *const lines[] = {
		"permissions: [call: B]\n",
		"permissions: [root]\n",
		"permissions: [admin, call: b]\n",
		"permissions: [call: [b, b]]\n",
	};
	const char *line = lines[pick(d, 4)];

	splice(d, line_start(d, pick(d, 9)), 0, line, strlen(line));
}

static const struct {
	const char *name;
	void (*apply)(struct damage *d);
} kinds[] = {
	{"misspell_key", misspell_key},
	{"drop_required_line", drop_required_line},
	{"repeat_line", repeat_line},
	{"invalid_byte", invalid_byte},
	{"control_byte", control_byte},
	{"add_anchor", add_anchor},
	{"add_tag", add_tag},
	{"nest_value", nest_value},
	{"open_bracket", open_bracket},
	{"tab_indent", tab_indent},
	{"second_document", second_document},
	{"bad_number", bad_number},
	{"bad_permission", bad_permission},
};

#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

static struct manifest *
parse(const struct damage *d, struct diags *diags)
{
	struct manifest_input input = {
		.source = {.file = "plugin.yaml", .text = d->text, .length = d->length},
		.dir = "/plugins/gpt2"};

	return manifest_parse(&input, diags);
}

static void
test_the_original_is_healthy(void **state)
{
	struct damage d = {0};
	struct diags diags;
	struct manifest *m;

	(void)state;
	diags_init(&diags);
	reset(&d);
	m = parse(&d, &diags);
	assert_no_diag(&diags);
	assert_non_null(m);
	manifest_free(m);
}

static void
test_every_damage_is_refused_with_a_place(void **state)
{
	struct damage d = {.random = 20240229};

	(void)state;
	for (size_t i = 0; i < DAMAGED; i++) {
		struct diags diags;
		struct manifest *m;

		diags_init(&diags);
		reset(&d);
		kinds[i % KINDS].apply(&d);
		m = parse(&d, &diags);
		if (m || !diags.errors)
			fail_msg("%zu, %s: accepted:\n%s", i, kinds[i % KINDS].name, d.text);
		assert_places(&diags);
		assert_string_equal(diags.first->pos.file, "plugin.yaml");
		diags_fini(&diags);
	}
}

static void
hurt(struct damage *d)
{
	static const char special[] = " \n\t:-[]{},\"'|>#&*!%?@`~0a\xc3\xff\\\r";
	size_t at = pick(d, (uint32_t)d->length + 1);
	size_t some = pick(d, 20);

	if (at + some > d->length)
		some = d->length - at;
	switch (pick(d, 5)) {
	case 0:
		splice(d, at, some, "", 0);
		break;
	case 1:
		splice(d, at, 0, special + pick(d, sizeof(special) - 1), 1);
		break;
	case 2:
		if (at < d->length)
			splice(d, at, 1, special + pick(d, sizeof(special) - 1), 1);
		break;
	case 3: {
		char piece[20];
		size_t from = pick(d, (uint32_t)(d->length - some) + 1);

		memcpy(piece, d->text + from, some);
		splice(d, at, 0, piece, some);
		break;
	}
	default:
		d->length = at;
		d->text[at] = '\0';
	}
}

/* Random bytes may leave it healthy: accepted or refused, but always for a reason and at once. */
static void
test_random_damage_never_goes_unexplained(void **state)
{
	struct damage d = {.random = 4711};
	struct timespec start, now;
	size_t accepted = 0;

	(void)state;
	clock_gettime(CLOCK_MONOTONIC, &start);
	for (size_t i = 0; i < RANDOM; i++) {
		struct diags diags;
		struct manifest *m;

		diags_init(&diags);
		reset(&d);
		for (uint32_t n = 1 + pick(&d, 6); n; n--)
			hurt(&d);
		m = parse(&d, &diags);
		if (!m != (diags.errors > 0))
			fail_msg("%zu: %p and %zu errors:\n%s", i, (void *)m, diags.errors, d.text);
		assert_places(&diags);
		accepted += m != NULL;
		manifest_free(m);
		diags_fini(&diags);
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	print_message("%zu of %d accepted, %ld s\n", accepted, RANDOM, now.tv_sec - start.tv_sec);
	assert_in_range(accepted, 1, RANDOM / 2);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_original_is_healthy),
		cmocka_unit_test(test_every_damage_is_refused_with_a_place),
		cmocka_unit_test(test_random_damage_never_goes_unexplained),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
