/* Families of samples, and how Prometheus reads them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "metrics.h"

static json_t *
parse(const char *text)
{
	json_error_t error;
	json_t *json = json_loads(text, 0, &error);

	if (!json)
		fail_msg("%s in %s", error.text, text);
	return json;
}

static const struct {
	const char *families, *text;
} texts[] = {
	{"[]", ""},
	{"[{\"name\": \"a\", \"type\": \"gauge\", \"help\": \"b \\\"c\\\" \\\\ \\n d.\","
	 " \"samples\": []}]",
	 "# HELP a b \"c\" \\\\ \\n d.\n# TYPE a gauge\n"},
	{"[{\"name\": \"a\", \"type\": \"counter\", \"help\": \".\", \"samples\": ["
	 " {\"name\": \"a\", \"labels\": {}, \"value\": 9223372036854775807},"
	 " {\"name\": \"a\", \"labels\": {\"x\": \"\", \"y\": \"\\\"}\\n\\\\n\\u00e4\\t\"},"
	 "  \"value\": 0.000064},"
	 " {\"name\": \"a\", \"labels\": {\"x\": \"1\"}, \"value\": 1796008535.897}]}]",
	 "# HELP a .\n# TYPE a counter\n"
	 "a 9223372036854775807\n"
	 "a{x=\"\",y=\"\\\"}\\n\\\\n\xc3\xa4\t\"} 6.4e-05\n"
	 "a{x=\"1\"} 1796008535.897\n"},
};

static void
test_text(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		json_t *families = parse(texts[i].families);
		char *text = metrics_text(families);

		assert_string_equal(text, texts[i].text);
		free(text);
		json_decref(families);
	}
}

/* The text of what plugd says; the caller's. */
static char *
text_of(const char *daemon, const char *lines, const char *stats)
{
	json_t *parsed[] = {parse(daemon), parse(lines), parse(stats)};
	struct metrics_source source = {parsed[0], parsed[1], parsed[2], 3};
	json_t *families = metrics_families(&source);
	char *text = metrics_text(families);

	json_decref(families);
	for (size_t i = 0; i < 3; i++)
		json_decref(parsed[i]);
	return text;
}

static void
must_hold(const char *text, const char *part)
{
	if (!strstr(text, part))
		fail_msg("no %s in:\n%s", part, text);
}

/* Of a plugd that is newer. */
static void
test_a_state_that_is_not_known(void **state)
{
	char *text = text_of("{\"version\": \"9\", \"config_error\": \"x\"}",
			     "[{\"name\": \"a\", \"state\": \"dreaming\"},"
			     " {\"name\": \"b\", \"state\": \"ready\"}]",
			     "[]");

	(void)state;
	must_hold(text, "\nplugd_plugins{state=\"dreaming\"} 1\n");
	must_hold(text, "\nplugd_plugins{state=\"ready\"} 1\n");
	must_hold(text, "\nplugd_plugin_state{plugin=\"a\",state=\"dreaming\"} 1\n");
	must_hold(text, "\nplugd_plugin_state{plugin=\"a\",state=\"ready\"} 0\n");
	must_hold(text, "\nplugd_plugin_state{plugin=\"b\",state=\"dreaming\"} 0\n");
	must_hold(text, "\nplugd_config_rejected 1\n");
	must_hold(text, "\nplugd_plugins_unusable 3\n");
	free(text);
}

/* Counts of doublings become buckets that are added up; what is beyond the last bound is in +Inf.
 */
static void
test_buckets(void **state)
{
	char *text =
		text_of("{}", "[]",
			"[{\"name\": \"a\", \"methods\": [{\"method\": \"m\", \"calls\": 15,"
			" \"ok\": 8, \"errors\": 7, \"timeouts\": 1, \"cancelled\": 2,"
			" \"gone\": 3, \"sum_us\": 1500000, \"took\": [1, 0, 0, 0, 0, 0, 2, 3, 0,"
			" 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 5]}]}]");

	(void)state;
	must_hold(text, "_bucket{plugin=\"a\",method=\"m\",le=\"6.4e-05\"} 3\n");
	must_hold(text, "_bucket{plugin=\"a\",method=\"m\",le=\"0.000128\"} 6\n");
	must_hold(text, "_bucket{plugin=\"a\",method=\"m\",le=\"67.108864\"} 6\n");
	must_hold(text, "_bucket{plugin=\"a\",method=\"m\",le=\"134.217728\"} 10\n");
	must_hold(text, "_bucket{plugin=\"a\",method=\"m\",le=\"+Inf\"} 15\n");
	must_hold(text, "_sum{plugin=\"a\",method=\"m\"} 1.5\n");
	must_hold(text, "_count{plugin=\"a\",method=\"m\"} 15\n");
	must_hold(text, "calls_total{plugin=\"a\",method=\"m\",outcome=\"error\"} 1\n");
	free(text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_a_state_that_is_not_known),
		cmocka_unit_test(test_buckets),
	};

	return cmocka_run_group_tests_name("metrics", tests, NULL, NULL);
}
