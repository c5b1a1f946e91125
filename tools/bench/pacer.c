#include "pacer.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <time.h>
#include <unistd.h>

#define BEATS_MAX (16u * 1024 * 1024) /* of a thread; memory only for those that there were */

void
pacer_start(const struct bench *bench, const double rates[PACER_RATES], struct pacer *ret)
{
	cpu_set_t cpus = process_caller_cpus(bench);
	char numbers[PACER_RATES][32];
	char *argv[] = {(char *)bench->self, (char *)"--other", (char *)"pacer",
			numbers[0],          numbers[1],        NULL};
	struct process_request request = {.argv = argv, .stderr_fd = STDERR_FILENO, .cpus = &cpus};
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		bench_die("pacer: %s", strerror(errno));
	for (unsigned i = 0; i < PACER_RATES; i++)
		snprintf(numbers[i], sizeof(numbers[i]), "%.17g", rates[i]);
	request.stdout_fd = fds[1];
	*ret = (struct pacer){process_start(&request), fds[0]};
	close(fds[1]);
}

static void
read_all(int fd, void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t got = read(fd, (char *)data + done, size - done);

		if (got <= 0)
			bench_die("pacer: it ended without a result");
		done += (size_t)got;
	}
}

void
pacer_stop(struct pacer *pacer, struct pacer_beats ret[PACER_RATES])
{
	kill(pacer->pid, SIGTERM);
	for (unsigned i = 0; i < PACER_RATES; i++) {
		size_t size;

		read_all(pacer->result_fd, &ret[i].count, sizeof(ret[i].count));
		size = ret[i].count * sizeof(*ret[i].beats);
		ret[i].beats = malloc(size);
		if (!ret[i].beats)
			bench_die("out of memory");
		read_all(pacer->result_fd, ret[i].beats, size);
	}
	close(pacer->result_fd);
	if (process_wait(pacer->pid, NULL))
		bench_die("pacer: it ended with an error");
}

/* ---- the other process ---- */

struct beat {
	pthread_t thread;
	double interval_ns;
	struct pacer_beats done;
};

static atomic_bool ending;

/* As load_call_in_flight() waits when nothing comes back meanwhile. */
static void *
beat_main(void *arg)
{
	struct beat *beat = arg;
	uint64_t begin_ns = bench_now_ns(), count = 1;

	prctl(PR_SET_TIMERSLACK, 1ul);
	while (count < BEATS_MAX && !atomic_load_explicit(&ending, memory_order_relaxed)) {
		uint64_t due_ns = begin_ns + (uint64_t)(beat->interval_ns * (double)count);
		uint64_t at_ns = bench_now_ns();

		if (at_ns < due_ns) {
			struct timespec rest = {.tv_sec = (time_t)((due_ns - at_ns) / 1000000000u),
						.tv_nsec = (long)((due_ns - at_ns) % 1000000000u)};

			ppoll(NULL, 0, &rest, NULL);
			continue;
		}
		beat->done.beats[beat->done.count++] = (struct paced_call){due_ns, at_ns};
		count++;
	}
	return NULL;
}

static bool
write_all(const void *data, size_t size)
{
	for (size_t done = 0; done < size;) {
		ssize_t written = write(STDOUT_FILENO, (const char *)data + done, size - done);

		if (written <= 0)
			return false;
		done += (size_t)written;
	}
	return true;
}

int
pacer_other_main(int argc, char **argv)
{
	struct beat beats[PACER_RATES];
	sigset_t term;
	int number;

	if (argc != PACER_RATES)
		return 2;
	sigemptyset(&term);
	sigaddset(&term, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &term, NULL);
	for (unsigned i = 0; i < PACER_RATES; i++) {
		beats[i] = (struct beat){.interval_ns = 1e9 / atof(argv[i])};
		beats[i].done.beats =
			mmap(NULL, BEATS_MAX * sizeof(struct paced_call), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		if (beats[i].done.beats == MAP_FAILED ||
		    pthread_create(&beats[i].thread, NULL, beat_main, &beats[i]))
			return 1;
	}
	sigwait(&term, &number);
	atomic_store(&ending, true);
	for (unsigned i = 0; i < PACER_RATES; i++)
		pthread_join(beats[i].thread, NULL);
	for (unsigned i = 0; i < PACER_RATES; i++) {
		const struct pacer_beats *done = &beats[i].done;

		if (done->count == BEATS_MAX || !write_all(&done->count, sizeof(done->count)) ||
		    !write_all(done->beats, done->count * sizeof(*done->beats)))
			return 1;
	}
	return 0;
}
