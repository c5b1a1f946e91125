#include "upgrade/upgrade.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/turn.h"
#include "serve/answer.h"
#include "upgrade/identity.h"
#include "upgrade/program.h"
#include "upgrade/upgrade_private.h"

/* ---- the state ---- */

static void
save_self(const struct upgrade *upgrade, struct state_out *out, Plugd__Saved *saved)
{
	Plugd__SavedUpgrade *self = state_out_message(out, &plugd__saved_upgrade__descriptor);

	self->ticket = ticket_save(&upgrade->ticket, out);
	self->from = state_out_text(upgrade_identity.version);
	self->binary = state_out_text(upgrade->binary);
	self->begun_ms = upgrade->begun_ms;
	self->paused_ns = upgrade->paused_ns;
	self->count = upgrade->count;
	self->program = state_out_text(upgrade->program);
	self->since_ms = upgrade->since_ms;
	if (saved->daemon)
		saved->daemon->upgrade = self;
}

/* `out` is the caller's in any case. */
static plug_err
seal(struct upgrade *upgrade, struct state_out *out, int *ret_fd)
{
	Plugd__Saved *saved;

	state_out_init(out);
	saved = state_out_message(out, &plugd__saved__descriptor);
	upgrade->save(upgrade->user, out, saved);
	save_self(upgrade, out, saved);
	return state_seal(out, saved, &upgrade_identity.state, ret_fd);
}

static const char *
seal_error(plug_err err)
{
	return err == PLUG_ESYS ? strerror(errno) : plug_err_text(err);
}

/* ---- the execve ---- */

static void
go(struct upgrade *upgrade)
{
	AUTO_CLOSE int state_fd = -1;
	struct state_out out;
	plug_err err;

	guardian_notify(upgrade->guardian, "RELOADING=1");
	upgrade->paused_ns = clock_mono_ns();
	err = seal(upgrade, &out, &state_fd);
	if (!err) {
		turn_begin(1);
		turn_offer();
		handover_execute(upgrade->binary_fd, upgrade->argv, state_fd, &out);
		err = PLUG_ESYS;
	}
	upgrade_refuse(upgrade, err, "%s", seal_error(err));
	state_out_fini(&out);
	handover_unblock();
	guardian_notify(upgrade->guardian, "READY=1");
}

/* ---- the proof ---- */

/* Its watcher runs before the loop waits, and the loop does not wait. */
static void
wait_for_a_moment(struct upgrade *upgrade, enum upgrade_phase phase)
{
	upgrade->phase = phase;
	ev_prepare_start(upgrade->host->loop, &upgrade->due_w);
	ev_idle_start(upgrade->host->loop, &upgrade->hurry_w);
}

static void
on_checked(void *user, const char *version, const char *why)
{
	struct upgrade *upgrade = user;

	if (!version) {
		upgrade_refuse(upgrade, PLUG_EINVAL, "%s", why);
		return;
	}
	wait_for_a_moment(upgrade, UPGRADE_HELD);
}

static void
begin_check(struct upgrade *upgrade)
{
	AUTO_CLOSE int state_fd = -1;
	struct state_out out;
	plug_err err = seal(upgrade, &out, &state_fd);

	state_out_fini(&out);
	if (!err)
		err = check_start(&upgrade->check, upgrade->binary_fd, upgrade->binary, state_fd);
	if (err) {
		upgrade_refuse(upgrade, err, "%s", seal_error(err));
		return;
	}
	upgrade->phase = UPGRADE_CHECKING;
	ev_prepare_stop(upgrade->host->loop, &upgrade->due_w);
	ev_idle_stop(upgrade->host->loop, &upgrade->hurry_w);
}

/* ---- moments at which no event is pending ---- */

/* In HELD signals begin to wait; what had come before is handled in one more turn of the loop. */
static void
on_due(struct ev_loop *loop, ev_prepare *w, int revents)
{
	struct upgrade *upgrade = w->data;

	(void)revents;
	if (upgrade->phase == UPGRADE_HELD) {
		handover_block();
		upgrade->phase = UPGRADE_DUE;
		return;
	}
	if (ev_pending_count(loop))
		return; /* what is fed to the loop is not in the state */
	if (upgrade->phase == UPGRADE_ASKED)
		begin_check(upgrade);
	else
		go(upgrade);
}

static void
on_hurry(struct ev_loop *loop, ev_idle *w, int revents)
{
	(void)loop;
	(void)w;
	(void)revents;
}

/* ---- from an operator ---- */

/* Open it once: what is proved is what is executed. */
static bool
open_binary(struct upgrade *upgrade)
{
	char magic[4] = "";
	struct stat st;

	upgrade->binary_fd = open(upgrade->binary, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	if (upgrade->binary_fd < 0 || fstat(upgrade->binary_fd, &st) < 0)
		upgrade_refuse(upgrade, PLUG_EINVAL, "%s", strerror(errno));
	else if (!S_ISREG(st.st_mode))
		upgrade_refuse(upgrade, PLUG_EINVAL, "it is not a regular file");
	else if (faccessat(AT_FDCWD, upgrade->binary, X_OK, AT_EACCESS) < 0)
		upgrade_refuse(upgrade, PLUG_EINVAL, "it may not be executed: %s", strerror(errno));
	else if (pread(upgrade->binary_fd, magic, sizeof(magic), 0) != sizeof(magic) ||
		 memcmp(magic, "\177ELF", sizeof(magic)))
		upgrade_refuse(upgrade, PLUG_EINVAL, "it is not a program (no ELF file)");
	else
		return true;
	return false;
}

static bool
take_ticket(struct upgrade *upgrade, struct client *client, uint64_t id)
{
	plug_err err;

	if (upgrade->phase != UPGRADE_IDLE)
		answer_request(client, id, PLUG_EBUSY,
			       "an upgrade is under way; nothing else was begun");
	else if (upgrade->host->shutting_down)
		answer_request(client, id, PLUG_ESTATE, "plugd is shutting down");
	else if ((err = ticket_open(&upgrade->ticket, client, id, &upgrade_ticket_ops,
				    upgrade->tickets_per_client)))
		answer_request(client, id, err, NULL);
	else
		return true;
	return false;
}

void
upgrade_request(struct upgrade *upgrade, struct client *client, uint64_t id, const char *binary)
{
	if (!take_ticket(upgrade, client, id))
		return;
	if (!*binary)
		binary = upgrade->program;
	upgrade->begun_ms = clock_mono_ms();
	if (snprintf(upgrade->binary, sizeof(upgrade->binary), "%s", binary) >=
		    (int)sizeof(upgrade->binary) ||
	    *binary != '/')
		upgrade_refuse(upgrade, PLUG_EINVAL, "expected an absolute path");
	else if (open_binary(upgrade))
		wait_for_a_moment(upgrade, UPGRADE_ASKED);
}

void
upgrade_cancel(struct upgrade *upgrade, const char *why)
{
	if (upgrade->phase != UPGRADE_IDLE)
		upgrade_refuse(upgrade, PLUG_ECANCELLED, "%s", why);
}

bool
upgrade_has_pid(const struct upgrade *upgrade, pid_t pid)
{
	return upgrade->check.pid && upgrade->check.pid == pid;
}

/* ---- beginning and end ---- */

void
upgrade_init(struct upgrade *upgrade)
{
	struct ev_loop *loop = upgrade->host->loop;

	upgrade->binary_fd = -1;
	list_init(&upgrade->ticket.node);
	program_find(upgrade->argv[0], upgrade->program, sizeof(upgrade->program));
	check_init(&upgrade->check, loop, on_checked, upgrade);
	ev_prepare_init(&upgrade->due_w, on_due);
	ev_idle_init(&upgrade->hurry_w, on_hurry);
	ev_set_priority(&upgrade->hurry_w, EV_MINPRI);
	upgrade->due_w.data = upgrade->hurry_w.data = upgrade;
}

void
upgrade_clear(struct upgrade *upgrade)
{
	if (upgrade->phase == UPGRADE_DUE)
		handover_unblock();
	ev_prepare_stop(upgrade->host->loop, &upgrade->due_w);
	ev_idle_stop(upgrade->host->loop, &upgrade->hurry_w);
	check_stop(&upgrade->check);
	close_fd(&upgrade->binary_fd);
	upgrade->phase = UPGRADE_IDLE;
}

void
upgrade_fini(struct upgrade *upgrade)
{
	upgrade_clear(upgrade);
	ticket_close(&upgrade->ticket);
}
