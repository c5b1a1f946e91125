/* The state as bytes: what is read, what is refused, and which descriptors go with it. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "state_support.h"

#define HEAD_BYTES 24

/* Some of everything that a message can have. */
static Plugd__Saved *
fill(struct state_out *out)
{
	Plugd__Saved *saved;

	state_out_init(out);
	saved = state_out_message(out, &plugd__saved__descriptor);
	saved->daemon = state_out_message(out, &plugd__saved_daemon__descriptor);
	saved->daemon->state_dir = state_out_text("/var/lib/plugd");
	for (unsigned i = 0; i < 9; i++) {
		Plugd__SavedPlugin *plugin =
			state_out_message(out, &plugd__saved_plugin__descriptor);

		plugin->scale = i;
		plugin->stats = state_out_message(out, &plugd__saved_stats__descriptor);
		plugin->stats->calls = i * 1000000000000u;
		state_out_append(out, &saved->n_plugins, &saved->plugins, plugin);
		state_out_append(out, &saved->daemon->n_argv, &saved->daemon->argv,
				 state_out_text("word"));
	}
	return saved;
}

/* As bytes, malloc'd. */
static uint8_t *
pack(uint32_t version, uint32_t needs, size_t *ret_size)
{
	const struct state_versions versions = {version, needs};
	struct state_out out;
	Plugd__Saved *saved = fill(&out);
	struct stat st;
	uint8_t *bytes;
	int fd;

	assert_int_equal(state_seal(&out, saved, &versions, &fd), PLUG_OK);
	state_out_fini(&out);
	assert_int_equal(fstat(fd, &st), 0);
	bytes = malloc((size_t)st.st_size);
	assert_int_equal(pread(fd, bytes, (size_t)st.st_size, 0), st.st_size);
	close(fd);
	*ret_size = (size_t)st.st_size;
	return bytes;
}

static plug_err
decode(const uint8_t *bytes, size_t size, uint32_t known, const char *part)
{
	struct arena arena;
	Plugd__Saved *saved = NULL;
	char why[256] = "";
	plug_err err;

	arena_init(&arena, 1024);
	err = state_decode(bytes, size, known, &arena, &saved, why, sizeof(why));
	assert_int_equal(!err, saved != NULL);
	if (part && !strstr(why, part))
		fail_msg("\"%s\" does not say \"%s\"", why, part);
	arena_fini(&arena);
	return err;
}

static void
test_what_was_written_is_read(void **state)
{
	struct state_out out;
	struct state_in in;

	(void)state;
	state_through(&out, fill(&out), false, &in);
	assert_string_equal(in.saved->daemon->state_dir, "/var/lib/plugd");
	assert_int_equal(in.saved->n_plugins, 9);
	assert_int_equal(in.saved->daemon->n_argv, 9);
	for (unsigned i = 0; i < 9; i++) {
		assert_int_equal(in.saved->plugins[i]->scale, i);
		assert_true(in.saved->plugins[i]->stats->calls == i * 1000000000000u);
	}
	assert_null(in.saved->router);
	state_in_fini(&in);
}

static void
test_the_memfd_is_sealed(void **state)
{
	const struct state_versions versions = {1, 1};
	struct state_out out;
	Plugd__Saved *saved = fill(&out);
	int fd;

	(void)state;
	assert_int_equal(state_seal(&out, saved, &versions, &fd), PLUG_OK);
	assert_int_equal(fcntl(fd, F_GET_SEALS),
			 F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	close(fd);
	state_out_fini(&out);
}

static void
test_versions(void **state)
{
	static const struct {
		uint32_t version, needs, known;
		plug_err err;
	} cases[] = {
		{1, 1, 1, PLUG_OK},       {3, 1, 1, PLUG_OK},       {3, 2, 2, PLUG_OK},
		{1, 1, 9, PLUG_OK},       {2, 2, 1, PLUG_EVERSION}, {3, 2, 1, PLUG_EVERSION},
		{0, 0, 1, PLUG_EVERSION}, {1, 2, 2, PLUG_EVERSION},
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		size_t size;
		uint8_t *bytes = pack(cases[i].version, cases[i].needs, &size);

		assert_int_equal(
			decode(bytes, size, cases[i].known, cases[i].err ? "this one knows" : NULL),
			cases[i].err);
		free(bytes);
	}
}

/* A field that this plugd does not know, appended to the whole, or to a message inside of it. */
static uint8_t *
pack_with_unknown(uint32_t version, bool inside, size_t *ret_size)
{
	static const uint8_t field[] = {0xf8, 0x3f, 0x2a};           /* 1023: 42 */
	static const uint8_t daemon[] = {0x0a, 0x03, 0xf8, 0x3f, 1}; /* 1: {1023: 1}, merged */
	const uint8_t *more = inside ? daemon : field;
	size_t size, extra = inside ? sizeof(daemon) : sizeof(field);
	uint8_t *bytes = pack(version, 1, &size);
	uint64_t length = size - HEAD_BYTES + extra;

	bytes = realloc(bytes, size + extra);
	memcpy(bytes + size, more, extra);
	memcpy(bytes + 16, &length, sizeof(length));
	*ret_size = size + extra;
	return bytes;
}

static void
test_unknown_fields(void **state)
{
	(void)state;
	for (int inside = 0; inside < 2; inside++) {
		size_t size;
		uint8_t *bytes = pack_with_unknown(1, inside, &size);

		assert_int_equal(decode(bytes, size, 1, inside ? "SavedDaemon" : "Saved"),
				 PLUG_EPROTO);
		free(bytes);
		bytes = pack_with_unknown(2, inside,
					  &size); /* of a later one that needs them not */
		assert_int_equal(decode(bytes, size, 1, NULL), PLUG_OK);
		assert_int_equal(decode(bytes, size, 2, "that is not"), PLUG_EPROTO);
		free(bytes);
	}
}

static void
test_what_is_no_state(void **state)
{
	size_t size;
	uint8_t *bytes = pack(1, 1, &size), none = 0;

	(void)state;
	assert_int_equal(decode(&none, 0, 1, "no state"), PLUG_EPROTO);
	for (size_t cut = 0; cut < size; cut++)
		assert_int_equal(decode(bytes, cut, 1, "no state"), PLUG_EPROTO);
	bytes[0] ^= 1;
	assert_int_equal(decode(bytes, size, 1, "no state"), PLUG_EPROTO);
	free(bytes);
}

/* Whatever a damaged one is, it is read or refused. */
static void
test_damage(void **state)
{
	size_t size;
	uint8_t *bytes = pack(1, 1, &size);
	unsigned refused = 0;

	(void)state;
	for (size_t at = HEAD_BYTES; at < size; at++)
		for (int bit = 0; bit < 8; bit++) {
			bytes[at] ^= (uint8_t)(1 << bit);
			refused += decode(bytes, size, 1, NULL) != PLUG_OK;
			bytes[at] ^= (uint8_t)(1 << bit);
		}
	assert_true(refused > 0);
	free(bytes);
}

/* ---- parts ---- */

static const char *
color(unsigned value)
{
	static const char *const names[] = {"red", "green"};

	return names[value];
}

static void
test_parts_that_are_wrong(void **state)
{
	struct state_out out;
	struct state_in in;
	uint8_t four[4] = "abc";
	ProtobufCBinaryData three = {3, four};

	(void)state;
	state_through(&out, fill(&out), false, &in);
	assert_int_equal(state_in_name(&in, "a color", "green", 2, color), 1);
	assert_int_equal(state_in_index(&in, "a thing", 0, 0), -1);
	assert_int_equal(state_in_index(&in, "a thing", 3, 3), 2);
	assert_false(in.failed);
	assert_int_equal(state_in_name(&in, "a color", "blue", 2, color), 0);
	assert_true(in.failed);
	assert_string_equal(in.why, "a color \"blue\" is not known to this plugd");
	assert_int_equal(state_in_index(&in, "a thing", 4, 3), -1);
	state_in_copy(&in, "a token", four, sizeof(four), &three);
	assert_string_equal(in.why, "a color \"blue\" is not known to this plugd"); /* the first */
	state_in_fini(&in);
}

static void
test_descriptors(void **state)
{
	struct state_out out;
	Plugd__Saved *saved = fill(&out);
	struct state_in in;
	int ends[2];

	(void)state;
	assert_int_equal(pipe(ends), 0);
	assert_int_equal(state_out_fd(&out, -1), 0);
	saved->daemon->state_fd = state_out_fd(&out, ends[0]);
	saved->daemon->log_dir_fd = state_out_fd(&out, ends[1]);
	state_through(&out, saved, false, &in);
	assert_int_equal(in.saved->n_fds, 2);
	assert_int_equal(state_in_fd(&in, 0), -1);
	assert_int_equal(state_in_fd(&in, in.saved->daemon->state_fd), ends[0]);
	assert_false(in.failed);
	state_in_commit(&in);
	assert_int_equal(fcntl(ends[0], F_GETFD), FD_CLOEXEC);
	assert_int_equal(fcntl(ends[1], F_GETFD), -1); /* nobody took it */
	close(ends[0]);
	assert_int_equal(state_in_fd(&in, in.saved->daemon->state_fd), -1);
	assert_true(in.failed);
	state_in_fini(&in);
}

static void
test_a_dry_run_touches_no_descriptor(void **state)
{
	struct state_out out;
	Plugd__Saved *saved = fill(&out);
	struct state_in in;
	int one, other;

	(void)state;
	saved->daemon->state_fd = 777; /* is not open */
	state_through(&out, saved, true, &in);
	one = state_in_fd(&in, in.saved->daemon->state_fd);
	other = state_in_fd(&in, in.saved->daemon->state_fd);
	assert_true(one >= 0 && other >= 0 && one != other && one != 776);
	assert_false(in.failed);
	close(one);
	close(other);
	state_in_fini(&in);
}

/* Names are whatever the bytes of a state say. */
static void
test_a_reason_is_a_line_of_utf8(void **state)
{
	struct state_in in = {.stand_in = -1};
	char name[2 * sizeof(in.why)];

	(void)state;
	state_in_fail(&in, "plugin \"%s\" is not there", "a\nb\xff\x7f\xc3\xa4");
	assert_string_equal(in.why, "plugin \"a?b??\xc3\xa4\" is not there");
	in.failed = false;
	memset(name, 'x', sizeof(name));
	memcpy(name + sizeof(in.why) - 2, "\xc3\xa4", 3);
	state_in_fail(&in, "%s", name); /* cut in the middle of a character */
	assert_int_equal(strlen(in.why), sizeof(in.why) - 1);
	assert_int_equal(in.why[sizeof(in.why) - 2], '?');
}

/* It was said to be understood before anybody had looked at it. */
static void
test_a_dry_run_without_descriptors_is_a_failure(void **state)
{
	struct rlimit before, none;
	struct state_in in;

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){0, before.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_int_equal(state_in_init(&in, 0, STATE_VERSION, true), PLUG_ESYS);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
	assert_true(in.failed);
	assert_non_null(strstr(in.why, "no descriptor for a dry run"));
	state_in_fini(&in);
}

static void
test_what_is_not_a_memfd(void **state)
{
	struct state_in in;

	(void)state;
	assert_int_equal(state_in_init(&in, -1, 1, false), PLUG_EPROTO);
	assert_true(in.failed && *in.why);
	state_in_fini(&in);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_was_written_is_read),
		cmocka_unit_test(test_the_memfd_is_sealed),
		cmocka_unit_test(test_versions),
		cmocka_unit_test(test_unknown_fields),
		cmocka_unit_test(test_what_is_no_state),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_parts_that_are_wrong),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_a_dry_run_touches_no_descriptor),
		cmocka_unit_test(test_a_reason_is_a_line_of_utf8),
		cmocka_unit_test(test_a_dry_run_without_descriptors_is_a_failure),
		cmocka_unit_test(test_what_is_not_a_memfd),
	};

	return cmocka_run_group_tests_name("state", tests, NULL, NULL);
}
