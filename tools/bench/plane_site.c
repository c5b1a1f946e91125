#include "plane_site.h"

#include <stdio.h>

static void
pin_all(struct plane_site *site, const struct bench *bench)
{
	cpu_set_t ours = process_caller_cpus(bench), theirs = process_other_cpus(bench);

	process_pin_self(&ours);
	process_pin(site->daemon.pid, &ours);
	process_pin(daemon_plugin_pid(&site->daemon, PLANE_RUNNING), &theirs);
	process_pin(daemon_plugin_pid(&site->daemon, PLANE_SLEEPING), &theirs);
	process_pin(daemon_plugin_pid(&site->daemon, PLANE_PATIENT), &theirs);
}

void
plane_site_unpin(struct plane_site *site)
{
	struct bench shared = *site->bench;

	shared.pin = PIN_SHARED;
	pin_all(site, &shared);
}

void
plane_site_pin(struct plane_site *site)
{
	pin_all(site, site->bench);
}

void
plane_site_open(const struct bench *bench, const char *name, struct plane_site *ret)
{
	struct bench shared = *bench;
	char dir[PATH_MAX], patient[64];
	cpu_set_t both;

	shared.pin = PIN_SHARED;
	both = process_caller_cpus(&shared);
	process_pin_self(&both);
	*ret = (struct plane_site){.bench = bench};
	bench_path(dir, sizeof(dir), "%s/%s", bench->work_dir, name);
	daemon_make_plugins(bench, dir, "running", 1, "autostart: true");
	daemon_make_plugins(bench, dir, "sleeping", 1,
			    "autostart: true, env: { PLUG_SPIN_US: \"0\" }");
	snprintf(patient, sizeof(patient), "autostart: true, env: { PLUG_SPIN_US: \"%d\" }",
		 PLANE_PATIENT_US);
	daemon_make_plugins(bench, dir, "patient", 1, patient);
	daemon_start(&shared, dir, &ret->daemon);
	ret->daemon.bench = bench;
	daemon_await_ready(&ret->daemon, 3);
	floor_open(bench, &ret->floor);
}

void
plane_site_close(struct plane_site *site)
{
	floor_close(&site->floor);
	daemon_stop(&site->daemon);
}

void
floor_side_latency(void *arg, size_t count, struct histogram *ret)
{
	struct floor_side *side = arg;

	floor_round(side->floor, side->way, side->size, count, ret);
}
