#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "act.h"
#include "format.h"
#include "out.h"

/* plugd and its guardian: both have to be gone before another plugd can take their place. */
struct processes {
	int fds[2];
};

static int
watch(int64_t pid)
{
	return pid > 0 ? (int)syscall(SYS_pidfd_open, (pid_t)pid, 0) : -1;
}

static bool
on_status(const Plug__Response *response, void *user)
{
	struct processes *processes = user;

	if (response->outcome == PLUG_OK && response->body_case == PLUG__RESPONSE__BODY_DAEMON) {
		processes->fds[0] = watch(response->daemon->pid);
		processes->fds[1] = watch(response->daemon->guardian_pid);
	}
	return true;
}

static bool
ignore(const Plug__Response *response, void *user)
{
	(void)response;
	(void)user;
	return true;
}

static int
find(struct ctl *ctl, struct processes *processes)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__StatusRequest status = PLUG__STATUS_REQUEST__INIT;

	request.body_case = PLUG__REQUEST__BODY_STATUS;
	request.status = &status;
	return ctl_request(ctl, &request, NULL, ctl_timeout(ctl, CTL_ANSWER_MS), on_status,
			   processes);
}

/* plugd may end before its answer is read, which is what was asked for. */
static int
ask(struct ctl *ctl)
{
	Plug__Request request = PLUG__REQUEST__INIT;
	Plug__ActRequest act = PLUG__ACT_REQUEST__INIT;
	plug_err err;

	request.body_case = PLUG__REQUEST__BODY_ACT;
	request.act = &act;
	act.action = PLUG__ACTION__ACTION_SHUTDOWN;
	err = plug_client_request(ctl->client, &request, ctl->timeout_ms, ignore, NULL);
	if (err == PLUG_OK || err == PLUG_EGONE)
		return CTL_DONE;
	return ctl_fail(ctl, err, NULL, plug_client_error_text(ctl->client));
}

static int
wait_for_end(struct ctl *ctl, const struct processes *processes, uint64_t began_ms)
{
	for (int i = 0; i < 2; i++) {
		struct pollfd ended = {.fd = processes->fds[i], .events = POLLIN};
		uint64_t spent = format_now_ms() - began_ms, left;
		int wait_ms = -1;

		if (ended.fd < 0)
			continue;
		if (ctl->timeout_ms) {
			left = spent < ctl->timeout_ms ? ctl->timeout_ms - spent : 0;
			wait_ms = left < INT_MAX ? (int)left : INT_MAX;
		}
		if (poll(&ended, 1, wait_ms) <= 0)
			return ctl_fail(ctl, PLUG_ETIMEOUT, NULL,
					"plugd is still stopping its plugins");
	}
	return CTL_DONE;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct processes processes = {{-1, -1}};
	uint64_t began = format_now_ms();
	char took[FORMAT_BYTES];
	int status = find(ctl, &processes);

	if (status == CTL_DONE)
		status = ask(ctl);
	if (status == CTL_DONE && !args_flag(args, "no-wait"))
		status = wait_for_end(ctl, &processes, began);
	for (int i = 0; i < 2; i++)
		if (processes.fds[i] >= 0)
			close(processes.fds[i]);
	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		out_json(json_pack("{s:b, s:I}", "shutdown", 1, "took_ms",
				   (json_int_t)(format_now_ms() - began)));
	else
		printf("plugd %s after %s\n",
		       args_flag(args, "no-wait") ? "is stopping" : "has ended",
		       format_duration(format_now_ms() - began, took));
	return CTL_DONE;
}

const struct verb verb_shutdown = {
	.name = "shutdown",
	.summary = "stop all plugins in order, then plugd itself",
	.help = "Stops every plugin as `plugctl stop` does, in the reverse of the order in which "
		"they "
		"were started, and then plugd.  Returns when plugd's processes have ended, so that "
		"another plugd may be started in the same runtime directory at once.",
	.options = act_options,
	.run = run,
};
