#include "tick.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "clock.h"
#include "dying.h"
#include "state.h"

#define STACK_BYTES    (256u * 1024)
#define POLL_MS        (PLUG_VITALS_TICK_MS - 20ull)
#define RESUME_WAIT_NS (6 * NS_PER_S) /* plugd gives a session up after 5 s */

/* What the signal handler may touch; lock-free. */
static struct {
	atomic_int fd, pid, seen;
} signalled = {.fd = -1};

static struct outbox *outbox; /* for a child that is forked */

static void
on_sigterm(int number)
{
	uint64_t one = 1;
	int saved = errno;
	ssize_t written;

	(void)number;
	/* A child made without fork()'s handlers shares the eventfd, but is not the plugin. */
	if (getpid() != signalled.pid)
		_exit(128 + SIGTERM);
	signalled.seen++;
	written = write(signalled.fd, &one, sizeof(one));
	(void)written; /* when the counter is full the thread is awake already */
	errno = saved;
}

/* What a handler forks can be ended as any process can, and does not speak for the plugin. */
static void
on_fork_child(void)
{
	struct sigaction now;

	plugp_outbox_forked(outbox);
	if (sigaction(SIGTERM, NULL, &now) == 0 && now.sa_handler == on_sigterm)
		signal(SIGTERM, SIG_DFL);
}

static void
look_for_signals(struct plug_plugin *plugin, int *handled)
{
	while (*handled != signalled.seen) {
		(*handled)++;
		plugp_stop(plugin, STOP_SIGNAL);
	}
}

/* Has plugd died, or did the session stay lost for too long? */
static void
look_for_plugd(struct plug_plugin *plugin)
{
	uint64_t since = plugp_outbox_lost_since(&plugin->outbox);

	if (getppid() != plugin->parent || (since && clock_ns() - since > RESUME_WAIT_NS))
		plugp_stop(plugin, STOP_GONE);
}

static void
look_for_end(struct plug_plugin *plugin)
{
	uint64_t exit_ns = atomic_load(&plugin->tick.exit_ns);

	if (exit_ns && clock_ns() >= exit_ns) {
		plugp_complain(plugin,
			       "still busy (%u handlers run); exiting without waiting any longer",
			       plugp_work_running(plugin));
		_exit(1);
	}
}

static int
poll_ms(const struct tick *tick)
{
	uint64_t exit_ns = atomic_load(&tick->exit_ns), now = clock_ns();
	uint64_t wait_ns = POLL_MS * NS_PER_MS;

	if (exit_ns && exit_ns < now + wait_ns)
		wait_ns = exit_ns > now ? exit_ns - now : 0;
	return (int)((wait_ns + NS_PER_MS - 1) / NS_PER_MS);
}

/* Until something happens or the next tick is due. */
static void
sleep_until_news(struct plug_plugin *plugin)
{
	struct pollfd pfds[] = {
		{.fd = plugin->tick.wake_fd, .events = POLLIN},
		{.fd = plugin->broker.fd, .events = POLLIN},
		{.fd = plugin->tick.alarm_fd, .events = POLLIN},
	};
	uint64_t count;

	if (poll(pfds, 3, poll_ms(&plugin->tick)) <= 0)
		return;
	if ((pfds[2].revents & POLLIN) &&
	    read(plugin->tick.alarm_fd, &count, sizeof(count)) == sizeof(count))
		plugp_work_alarm(plugin);
	if ((pfds[0].revents & POLLIN) && read(plugin->tick.wake_fd, &count, sizeof(count)) < 0)
		return; /* somebody else's wake was read with it */
}

static void *
tick_main(void *arg)
{
	struct plug_plugin *plugin = arg;
	int handled = 0;

	prctl(PR_SET_NAME, "plug-tick");
	plugp_dying_thread_init();
	while (!atomic_load(&plugin->tick.end)) {
		plugp_page_tick(&plugin->page);
		look_for_signals(plugin, &handled);
		look_for_plugd(plugin);
		look_for_end(plugin);
		plugp_outbox_tick(&plugin->outbox);
		plugp_calls_expire(plugin);
		plugp_broker_tick(plugin);
		sleep_until_news(plugin);
	}
	plugp_dying_thread_fini();
	return NULL;
}

/* Without an alarm duties are handed over. */
plug_err
plugp_tick_init(struct tick *tick)
{
	tick->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	tick->alarm_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
	return tick->wake_fd >= 0 ? PLUG_OK : PLUG_ENOMEM;
}

static plug_err
catch_signals(const struct tick *tick)
{
	struct sigaction term = {.sa_handler = on_sigterm, .sa_flags = SA_RESTART};
	struct sigaction ignore = {.sa_handler = SIG_IGN};

	signalled.fd = tick->wake_fd;
	signalled.pid = getpid();
	signalled.seen = 0;
	sigemptyset(&term.sa_mask);
	sigemptyset(&ignore.sa_mask);
	if (pthread_atfork(NULL, NULL, on_fork_child) != 0 || sigaction(SIGTERM, &term, NULL) < 0 ||
	    sigaction(SIGPIPE, &ignore, NULL) < 0)
		return PLUG_ESYS;
	return PLUG_OK;
}

plug_err
plugp_tick_start(struct plug_plugin *plugin)
{
	struct tick *tick = &plugin->tick;
	pthread_attr_t attr;
	int failed;

	outbox = &plugin->outbox;
	if (catch_signals(tick) != PLUG_OK)
		return PLUG_ESYS;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	failed = pthread_create(&tick->thread, &attr, tick_main, plugin);
	pthread_attr_destroy(&attr);
	tick->running = !failed;
	return failed ? PLUG_ESYS : PLUG_OK;
}

void
plugp_tick_stop(struct plug_plugin *plugin)
{
	struct tick *tick = &plugin->tick;

	if (!tick->running)
		return;
	atomic_store(&tick->end, true);
	plugp_tick_wake(tick);
	pthread_join(tick->thread, NULL);
	tick->running = false;
}

bool
plugp_tick_alarm(struct tick *tick, uint64_t ns)
{
	const struct itimerspec in = {.it_value = {.tv_nsec = (long)ns}};

	return tick->alarm_fd >= 0 && timerfd_settime(tick->alarm_fd, 0, &in, NULL) == 0;
}

void
plugp_tick_wake(struct tick *tick)
{
	uint64_t one = 1;

	if (tick->wake_fd >= 0 && write(tick->wake_fd, &one, sizeof(one)) < 0)
		return; /* the counter is full: it is awake already */
}
