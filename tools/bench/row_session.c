/*
 * A call on a plugin session: plugd's own session code with the real echo plugin at the other end,
 * and no client.
 */
#include <ev.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "bare.h"
#include "codec.h"
#include "ipc/session.h"
#include "report.h"
#include "wire.h"

#define CALLS      4000
#define WAIT_S     20.
#define TICK_S     1.
#define GENERATION 1

struct subject {
	struct ev_loop *loop;
	struct session *session;
	ev_timer patience, tick;
	pid_t pid;
	bool ready;

	size_t left; /* calls of this round that are not answered */
	uint64_t id;
	double sent_us;
	struct samples *samples;
};

static void
send_call(struct subject *s)
{
	static uint8_t payload[BENCH_MESSAGE];
	Plug__Call call = PLUG__CALL__INIT;
	Plug__Envelope env = PLUG__ENVELOPE__INIT;

	s->sent_us = bench_now_us();
	call.method = (char *)"echo";
	call.content_type = (char *)"application/octet-stream";
	call.payload = (ProtobufCBinaryData){sizeof(payload), payload};
	call.timeout_us = 30000000;
	env.id = ++s->id;
	env.body_case = PLUG__ENVELOPE__BODY_CALL;
	env.call = &call;
	if (session_send(s->session, &env))
		bench_die("session: a call could not be sent");
}

static void
on_reply(struct subject *s, const Plug__Envelope *env)
{
	if (env->id != s->id || env->reply->outcome || env->reply->payload.len != BENCH_MESSAGE)
		bench_die("session: call %llu was answered by %llu with %zu bytes, outcome %u: %s",
			  (unsigned long long)s->id, (unsigned long long)env->id,
			  env->reply->payload.len, env->reply->outcome,
			  plug_str(env->reply->message));
	samples_add(s->samples, bench_now_us() - s->sent_us);
	if (--s->left)
		send_call(s);
	else
		ev_break(s->loop, EVBREAK_ALL);
}

static void
on_message(void *user, const Plug__Envelope *env)
{
	struct subject *s = user;

	if (env->body_case == PLUG__ENVELOPE__BODY_REPLY) {
		on_reply(s, env);
	} else if (env->body_case == PLUG__ENVELOPE__BODY_READY) {
		s->ready = true;
		ev_break(s->loop, EVBREAK_ALL);
	}
}

static void
on_hello(void *user, const Plug__Hello *hello)
{
	struct subject *s = user;
	Plug__Welcome welcome = PLUG__WELCOME__INIT;
	Plug__Limits limits = PLUG__LIMITS__INIT;

	(void)hello;
	limits.message_bytes = PLUG_MESSAGE_BYTES;
	limits.call_bytes = PLUG_CALL_BYTES;
	limits.window_bytes = PLUG_WINDOW_BYTES;
	limits.calls = 256;
	welcome.instance = (char *)"echo";
	welcome.limits = &limits;
	if (session_welcome(s->session, &welcome))
		bench_die("session: no welcome");
}

static void
on_connection(void *user)
{
	(void)user;
	bench_die("session: the connection to the echo plugin was lost");
}

static void
on_violation(void *user, plug_err err, const char *reason)
{
	(void)user;
	bench_die("session: %s: %s", plug_err_name(err), reason);
}

static const struct session_ops ops = {
	.on_hello = on_hello,
	.on_message = on_message,
	.on_lost = on_connection,
	.on_resumed = on_connection,
	.on_violation = on_violation,
};

static void
on_patience(struct ev_loop *loop, ev_timer *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
	bench_die("session: the echo plugin does not answer");
}

static void
on_tick(struct ev_loop *loop, ev_timer *w, int revents)
{
	struct subject *s = w->data;

	(void)loop;
	(void)revents;
	session_tick(s->session);
}

/* Run the loop until a callback breaks it. */
static void
turn(struct subject *s)
{
	ev_timer_start(s->loop, &s->patience);
	ev_run(s->loop, 0);
	ev_timer_stop(s->loop, &s->patience);
}

static void
start_plugin(struct subject *s, const struct bench *bench, const char *url, const char *token)
{
	cpu_set_t cpus = process_other_cpus(bench);
	char program[PATH_MAX], address[160], secret[64];
	char *argv[] = {program, NULL};
	char *env[] = {address,
		       secret,
		       (char *)PLUG_ENV_NAME "=echo",
		       (char *)PLUG_ENV_INSTANCE "=echo",
		       (char *)PLUG_ENV_GENERATION "=1",
		       NULL};
	struct process_request request = {.argv = argv,
					  .extra_env = env,
					  .stdout_fd = -1,
					  .stderr_fd = STDERR_FILENO,
					  .cpus = &cpus};

	bench_path(program, sizeof(program), "%s/plugins/interfaces/echo/echo-plugin",
		   bench->build_dir);
	bench_path(address, sizeof(address), PLUG_ENV_ADDRESS "=%s", url);
	bench_path(secret, sizeof(secret), PLUG_ENV_TOKEN "=%s", token);
	s->pid = process_start(&request);
}

static void
subject_open(const struct bench *bench, struct subject *s)
{
	struct session_config config = {.generation = GENERATION,
					.unacked_bytes = 4 * PLUG_CALL_BYTES,
					.ops = &ops,
					.user = s};
	char url[128], token[2 * PLUG_TOKEN_BYTES + 1];

	*s = (struct subject){.loop = ev_loop_new(EVFLAG_NOENV | EVFLAG_NOSIGMASK)};
	if (!s->loop)
		bench_die("session: no event loop");
	ev_timer_init(&s->patience, on_patience, WAIT_S, 0.);
	ev_timer_init(&s->tick, on_tick, TICK_S, TICK_S);
	s->tick.data = s;
	snprintf(url, sizeof(url), "ipc://%s/session", bench->work_dir);
	memset(config.token, 0x5a, sizeof(config.token));
	plug_hex_encode(config.token, sizeof(config.token), token);
	config.loop = s->loop;
	config.path = url + strlen("ipc://");
	if (session_open(&config, &s->session))
		bench_die("session: cannot listen at %s", url);
	start_plugin(s, bench, url, token);
	turn(s);
	if (!s->ready)
		bench_die("session: the echo plugin is not ready");
	ev_timer_start(s->loop, &s->tick);
}

static void
subject_close(struct subject *s)
{
	session_close(s->session);
	process_kill(s->pid);
	ev_loop_destroy(s->loop);
}

static void
subject_round(void *arg, size_t count, struct samples *ret)
{
	struct subject *s = arg;

	s->left = count;
	s->samples = ret;
	send_call(s);
	turn(s);
}

static void
floor_round(void *arg, size_t count, struct samples *ret)
{
	for (size_t i = 0; i < count; i++) {
		double start_us = bench_now_us();

		bare_round_trip(arg, BENCH_MESSAGE);
		samples_add(ret, bench_now_us() - start_us);
	}
}

void
row_session(const struct bench *bench)
{
	size_t count = bench_count(bench, CALLS);
	struct subject subject;
	struct bare bare;
	struct side floor = {"bare nng pair1", floor_round, &bare, count};
	struct side side = {"session", subject_round, &subject, count};
	struct row row = {.name = "session",
			  .what = "call of 64 B on a plugin session",
			  .unit = "us",
			  .reach_of = REACH_RATIO,
			  .reach = 1.15};

	bare_open(bench, &bare);
	subject_open(bench, &subject);
	bench_compare(bench, &floor, &side, &row);
	subject_close(&subject);
	bare_close(&bare);
	report_add(bench->report, &row);
}
