/* Where plugd is looked for, and what plug_client_open() says when nobody usable is there. */
#include "address.h"
#include "peer.h"

static void
clear_environment(void)
{
	unsetenv(PLUG_ENV_SOCKET);
	unsetenv(PLUG_ENV_CLIENT_TOKEN);
	unsetenv("XDG_RUNTIME_DIR");
}

static const struct {
	const char *label, *given, *socket, *xdg, *expected;
} places[] = {
	{"nothing set", NULL, NULL, NULL, "/run/plugd/plugd.sock"},
	{"XDG", NULL, NULL, "/run/user/7", "/run/user/7/plugd/plugd.sock"},
	{"empty XDG is unset", NULL, NULL, "", "/run/plugd/plugd.sock"},
	{"PLUGD_SOCKET before XDG", NULL, "/a/b.sock", "/run/user/7", "/a/b.sock"},
	{"given before all", "/g", "/a/b.sock", "/run/user/7", "/g/plugd.sock"},
	{"empty given is not given", "", "/a/b.sock", NULL, "/a/b.sock"},
};

static void
test_place(void **state)
{
	char why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(places) / sizeof(*places); i++) {
		struct plugc_address address;

		clear_environment();
		if (places[i].socket)
			setenv(PLUG_ENV_SOCKET, places[i].socket, 1);
		if (places[i].xdg)
			setenv("XDG_RUNTIME_DIR", places[i].xdg, 1);
		print_message("  %s\n", places[i].label);
		assert_int_equal(plugc_address_resolve(places[i].given, &address, why, sizeof(why)),
				 PLUG_OK);
		assert_string_equal(address.path, places[i].expected);
	}
	clear_environment();
}

static void
test_path_length_limit(void **state)
{
	struct plugc_address address;
	char dir[128], why[256];
	size_t fits = PLUGC_PATH_BYTES - strlen("/" PLUG_SOCKET_NAME);

	(void)state;
	memset(dir, 'd', sizeof(dir));
	dir[fits] = 0;
	assert_int_equal(plugc_address_resolve(dir, &address, why, sizeof(why)), PLUG_OK);
	assert_int_equal(strlen(address.path), PLUGC_PATH_BYTES);
	dir[fits] = 'd';
	dir[fits + 1] = 0;
	assert_int_equal(plugc_address_resolve(dir, &address, why, sizeof(why)), PLUG_EINVAL);
	assert_non_null(strstr(why, "108 bytes"));
	assert_non_null(strstr(why, "107"));
}

static void
test_token_only_for_its_own_plugd(void **state)
{
	struct plugc_address address;
	char why[256];

	(void)state;
	setenv(PLUG_ENV_SOCKET, "/a/plugd.sock", 1);
	setenv(PLUG_ENV_CLIENT_TOKEN, "000102030405060708090a0b0c0d0e0f", 1);
	assert_int_equal(plugc_address_resolve(NULL, &address, why, sizeof(why)), PLUG_OK);
	assert_true(address.have_token);
	assert_int_equal(address.token[15], 15);
	assert_int_equal(plugc_address_resolve("/a", &address, why, sizeof(why)), PLUG_OK);
	assert_true(address.have_token);
	assert_int_equal(plugc_address_resolve("/b", &address, why, sizeof(why)), PLUG_OK);
	assert_false(address.have_token);
	setenv(PLUG_ENV_CLIENT_TOKEN, "0001", 1);
	assert_int_equal(plugc_address_resolve(NULL, &address, why, sizeof(why)), PLUG_OK);
	assert_false(address.have_token);
	clear_environment();
}

static plug_err
open_at(const char *dir, uint32_t timeout_ms)
{
	struct plug_client_config config = {
		.size = sizeof(config), .runtime_dir = dir, .connect_timeout_ms = timeout_ms};
	struct plug_client *client = (struct plug_client *)0x1;
	plug_err err = plug_client_open(&config, &client);

	assert_int_not_equal(err, PLUG_OK);
	assert_ptr_equal(client, (struct plug_client *)0x1); /* untouched */
	return err;
}

static void
test_no_plugd(void **state)
{
	(void)state;
	assert_int_equal(open_at("/tmp/plug-test-no-such-directory", 0), PLUG_EUNREACHABLE);
	assert_non_null(strstr(plug_client_error_text(NULL),
			       "/tmp/plug-test-no-such-directory/plugd.sock: No such file"));
	assert_int_equal(open_at("/etc/passwd", 0), PLUG_EUNREACHABLE);
	assert_non_null(strstr(plug_client_error_text(NULL), "Not a directory"));
}

static void
silent(struct peer *peer)
{
	peer_accept(peer);
	plug_envelope_free(peer_receive(peer));
	MUST(!peer_receive(peer)); /* the client gives up */
}

static void
test_silent_plugd(void **state)
{
	struct peer peer;
	uint64_t before = now_ms();

	(void)state;
	peer_start(&peer, silent, NULL);
	assert_int_equal(open_at(peer.dir, 200), PLUG_ETIMEOUT);
	assert_in_range(now_ms() - before, 200, PEER_WAIT_MS);
	assert_non_null(strstr(plug_client_error_text(NULL), "within 200 ms"));
	peer_stop(&peer);
}

static void
nothing(struct peer *peer)
{
	(void)peer;
}

static void
test_dead_listener(void **state)
{
	struct peer peer;

	(void)state;
	peer_start(&peer, nothing, NULL);
	pthread_join(peer.thread, NULL);
	close(peer.listener);
	assert_int_equal(open_at(peer.dir, 0), PLUG_EUNREACHABLE);
	assert_non_null(strstr(plug_client_error_text(NULL), "Connection refused"));
	unlink(peer.path);
	rmdir(peer.dir);
}

static void
hang_up(struct peer *peer)
{
	peer_accept(peer);
}

static void
test_closed_at_once(void **state)
{
	struct peer peer;

	(void)state;
	peer_start(&peer, hang_up, NULL);
	assert_int_equal(open_at(peer.dir, 0), PLUG_EUNREACHABLE);
	peer_stop(&peer);
}

static void
refuse(struct peer *peer)
{
	const Plug__Refused *given = peer->arg;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	peer_accept(peer);
	plug_envelope_free(peer_receive(peer));
	env.body_case = PLUG__ENVELOPE__BODY_REFUSED;
	env.refused = (Plug__Refused *)given;
	peer_send(peer, &env);
}

static void
test_refused(void **state)
{
	static char too_many[] = "64 clients are connected, the limit", version[] = "7.0.0";
	Plug__Refused refused = PLUG__REFUSED__INIT;
	struct peer peer;

	(void)state;
	refused.code = PLUG_EOVERLOADED;
	refused.message = too_many;
	peer_start(&peer, refuse, &refused);
	assert_int_equal(open_at(peer.dir, 0), PLUG_EOVERLOADED);
	assert_non_null(strstr(plug_client_error_text(NULL), too_many));
	peer_stop(&peer);

	refused.code = PLUG_EVERSION;
	refused.protocol_min = 7;
	refused.protocol_max = 9;
	refused.plugd = version;
	peer_start(&peer, refuse, &refused);
	assert_int_equal(open_at(peer.dir, 0), PLUG_EVERSION);
	assert_non_null(
		strstr(plug_client_error_text(NULL), "plugd 7.0.0 speaks protocols 7 to 9"));
	peer_stop(&peer);
}

static void
test_config_size(void **state)
{
	struct plug_client_config config = {.size = 0};
	struct plug_client *client = NULL;

	(void)state;
	assert_int_equal(plug_client_open(&config, &client), PLUG_EINVAL);
	config.size = 1 << 20;
	assert_int_equal(plug_client_open(&config, &client), PLUG_EINVAL);
	assert_null(client);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_place),
		cmocka_unit_test(test_path_length_limit),
		cmocka_unit_test(test_token_only_for_its_own_plugd),
		cmocka_unit_test(test_no_plugd),
		cmocka_unit_test(test_silent_plugd),
		cmocka_unit_test(test_dead_listener),
		cmocka_unit_test(test_closed_at_once),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_config_size),
	};

	return cmocka_run_group_tests_name("client_address", tests, NULL, NULL);
}
