/* The door and its clients over an upgrade: what was on its way to them comes, in order. */
#include "../daemon/doorman_fixture.h"

#include <fcntl.h>

#include "ipc/doorman_saved.h"
#include "state_support.h"

static void
move(void)
{
	struct doorman_config config = {
		.limits = {.clients = CLIENTS,
			   .clients_per_uid = 2,
			   .queue_bytes = QUEUE_BYTES,
			   .call_bytes = 12345},
		.ops = &ops,
	};
	struct ev_loop *before = wire_loop;
	uint64_t number = t.last ? t.last->number : 0;
	struct state_out out;
	struct state_in in;
	Plugd__Saved *all;

	state_out_init(&out);
	all = state_out_message(&out, &plugd__saved__descriptor);
	all->doorman = doorman_save(t.doorman, &out);
	state_through(&out, all, false, &in);
	state_abandon(t.doorman);
	wire_loop = config.loop = ev_loop_new(EVFLAG_AUTO);
	t.doorman = doorman_restore(&config, in.saved->doorman, &in);
	if (in.failed)
		fail_msg("%s", in.why);
	t.last = number ? doorman_find(t.doorman, number) : NULL;
	assert_int_equal(!number, !t.last);
	state_in_fini(&in);
	ev_loop_destroy(before);
}

static void
test_nobody(void **state)
{
	int fd;

	(void)state;
	move();
	fd = come_in();
	assert_int_equal(doorman_client_count(t.doorman), 1);
	close(fd);
}

static void
test_a_client_goes_on(void **state)
{
	int fd = come_in_and_say();
	uint64_t number = t.last->number;
	char name[sizeof(t.last->name)];

	(void)state;
	strcpy(name, t.last->name);
	move();
	assert_string_equal(t.last->name, name);
	assert_int_equal(t.last->uid, geteuid());
	assert_int_equal(t.last->pid, getpid());
	assert_int_equal(t.last->role, ROLE_ADMIN);
	t.messages = 0;
	say_message(fd);
	wire_run_until(has_message, NULL);
	assert_int_equal(t.last->number, number);
	close(come_in()); /* the next number is another one */
	close(fd);
	run_until_gone(2);
}

static void
test_whose_instance_it_is(void **state)
{
	int fd = wire_dial(SOCK_SEQPACKET);

	(void)state;
	say_hello(fd, PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX, token, sizeof(token));
	expect_welcome(fd, "instance");
	say_message(fd);
	wire_run_until(has_message, NULL);
	move();
	assert_int_equal(t.last->role, ROLE_INSTANCE);
	assert_string_equal(t.last->plugin, "echo");
	assert_int_equal(t.last->generation, 7);
	close(fd);
}

static void
test_one_that_has_not_said_who_it_is(void **state)
{
	int fd = wire_dial(SOCK_SEQPACKET);

	(void)state;
	wire_run_pending();
	move();
	say_hello(fd, PLUG_PROTOCOL_MIN, PLUG_PROTOCOL_MAX, token, sizeof(token));
	expect_welcome(fd, "instance");
	close(fd);
}

static void
send_number(uint64_t id, int with_fd)
{
	static uint8_t bytes[30000];
	Plug__Chunk chunk = PLUG__CHUNK__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;
	const struct client_origin origin = {id, sizeof(bytes)};

	chunk.data.data = bytes;
	chunk.data.len = sizeof(bytes);
	env.id = id;
	env.body_case = PLUG__ENVELOPE__BODY_CHUNK;
	env.chunk = &chunk;
	if (with_fd >= 0)
		assert_int_equal(client_send_fds(t.last, &env, &with_fd, 1), PLUG_OK);
	else
		assert_int_equal(client_send(t.last, &env, &origin), PLUG_OK);
}

static uint64_t
hear_number(int fd, int *ret_fd)
{
	static uint8_t bytes[PLUG_MESSAGE_BYTES];
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
	struct iovec part = {bytes, sizeof(bytes)};
	struct msghdr message = {.msg_iov = &part,
				 .msg_iovlen = 1,
				 .msg_control = control,
				 .msg_controllen = sizeof(control)};
	Plug__Envelope *env = NULL;
	ssize_t size;
	uint64_t id;

	wire_wait_readable(fd);
	size = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
	assert_true(size > 0);
	*ret_fd = -1;
	if (message.msg_controllen)
		memcpy(ret_fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(int));
	assert_int_equal(plug_envelope_unpack(bytes, (size_t)size, &env), PLUG_OK);
	id = env->id;
	plug_envelope_free(env);
	return id;
}

static void
test_what_waits_in_its_queue(void **state)
{
	int fd = come_in_and_say(), ends[2], given;
	size_t queued;

	(void)state;
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	for (uint64_t id = 1; id <= 20; id++)
		send_number(id, -1);
	send_number(21, ends[1]);
	close(ends[1]);
	queued = client_queued_bytes(t.last);
	assert_true(queued > 0);
	move();
	assert_int_equal(client_queued_bytes(t.last), queued);
	for (uint64_t id = 1; id <= 20; id++) {
		assert_int_equal(hear_number(fd, &given), id);
		assert_int_equal(given, -1);
		if (id == 10)
			move();
	}
	assert_int_equal(hear_number(fd, &given), 21);
	assert_int_equal(write(given, "x", 1), 1);
	close(given);
	assert_int_equal(t.sent_count, 20); /* each has been told, by one plugd or the other */
	for (unsigned i = 0; i < 20; i++)
		assert_int_equal(t.sent[i], i + 1);
	assert_int_equal(client_queued_bytes(t.last), 0);
	close(ends[0]);
	close(fd);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_nobody),
		TEST(test_a_client_goes_on),
		TEST(test_whose_instance_it_is),
		TEST(test_one_that_has_not_said_who_it_is),
		TEST(test_what_waits_in_its_queue),
	};

	return cmocka_run_group_tests_name("state_doorman", tests, NULL, NULL);
}
