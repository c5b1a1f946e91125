/* What a plugin costs: on disk, in memory, at its start. */
#include <dirent.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ask.h"
#include "format.h"
#include "out.h"
#include "plugin_json.h"
#include "table.h"
#include "verb.h"

#define OPEN_DIRS 16

struct footprint {
	uint64_t disk_bytes, files, program_bytes, log_bytes;
	uint64_t rss_bytes, pss_bytes, private_bytes, swap_bytes, threads, descriptors;
	uint64_t processes, start_ms, cpu_ms;
	bool pss_known; /* its mappings may be looked at */
};

/* ---- disk ---- */

/* nftw() has no argument for its function. */
static struct footprint *counted;

static int
on_file(const char *path, const struct stat *st, int kind, struct FTW *where)
{
	(void)path;
	(void)where;
	if (kind == FTW_F || kind == FTW_D || kind == FTW_SL) {
		counted->disk_bytes += (uint64_t)st->st_blocks * 512;
		counted->files += kind == FTW_F;
	}
	return 0;
}

static void
measure_folder(struct footprint *footprint, const char *manifest)
{
	char folder[PATH_MAX];

	snprintf(folder, sizeof(folder), "%s", manifest);
	if (!strrchr(folder, '/'))
		return;
	*strrchr(folder, '/') = '\0';
	counted = footprint;
	nftw(folder, on_file, OPEN_DIRS, FTW_PHYS);
}

/* NAME.log and those that were rotated. */
static void
measure_logs(struct footprint *footprint, const char *state_dir, const char *name)
{
	char path[PATH_MAX];
	struct stat st;

	for (int i = 0; i <= 100; i++) {
		snprintf(path, sizeof(path), i ? "%s/log/%s.log.%d" : "%s/log/%s.log", state_dir,
			 name, i);
		if (stat(path, &st) < 0)
			break;
		footprint->log_bytes += (uint64_t)st.st_blocks * 512;
	}
}

static void
measure_program(struct footprint *footprint, const json_t *info)
{
	const char *program = json_string_value(json_array_get(json_object_get(info, "exec"), 0));
	struct stat st;

	if (program && stat(program, &st) == 0)
		footprint->program_bytes = (uint64_t)st.st_size;
}

/* ---- memory ---- */

static void
read_keys(const char *path, const char *const *keys, uint64_t *const *values, size_t count,
	  bool *ret_known)
{
	FILE *file = fopen(path, "re");
	char line[256];

	while (file && fgets(line, sizeof(line), file)) {
		for (size_t i = 0; i < count; i++) {
			size_t length = strlen(keys[i]);

			if (strncmp(line, keys[i], length) == 0 && line[length] == ':')
				*values[i] += strtoull(line + length + 1, NULL, 10);
		}
		if (ret_known)
			*ret_known = true;
	}
	if (file)
		fclose(file);
}

static uint64_t
count_descriptors(const char *pid_folder)
{
	char path[PATH_MAX];
	uint64_t count = 0;
	DIR *dir;

	snprintf(path, sizeof(path), "%s/fd", pid_folder);
	dir = opendir(path);
	while (dir && readdir(dir))
		count++;
	if (dir)
		closedir(dir);
	return count > 2 ? count - 2 : 0; /* . and .. */
}

static void
measure_process(struct footprint *footprint, uint64_t pid)
{
	static const char *const rollup[] = {"Rss", "Pss", "Private_Clean", "Private_Dirty",
					     "Swap"};
	static const char *const status[] = {"Threads", "VmRSS"};
	uint64_t clean = 0, dirty = 0, rss = 0, vm_rss = 0, pss = 0, swap = 0, threads = 0;
	uint64_t *const rollup_to[] = {&rss, &pss, &clean, &dirty, &swap};
	uint64_t *const status_to[] = {&threads, &vm_rss};
	char folder[64], path[96];
	bool known = false;

	snprintf(folder, sizeof(folder), "/proc/%" PRIu64, pid);
	snprintf(path, sizeof(path), "%s/status", folder);
	read_keys(path, status, status_to, 2, NULL);
	snprintf(path, sizeof(path), "%s/smaps_rollup", folder);
	read_keys(path, rollup, rollup_to, 5, &known);
	footprint->rss_bytes += (known ? rss : vm_rss) * 1024;
	footprint->pss_bytes += pss * 1024;
	footprint->private_bytes += (clean + dirty) * 1024;
	footprint->swap_bytes += swap * 1024;
	footprint->threads += threads;
	footprint->descriptors += count_descriptors(folder);
	footprint->processes++;
	footprint->pss_known = footprint->pss_known || known;
}

static void
measure_processes(struct footprint *footprint, const json_t *status)
{
	const json_t *instances = json_object_get(status, "instance_list"), *instance;
	size_t i;

	json_array_foreach(instances, i, instance)
	{
		if (ask_number(instance, "pid"))
			measure_process(footprint, ask_number(instance, "pid"));
	}
}

/* ---- one plugin ---- */

static int
measure(struct ctl *ctl, const char *name, const char *state_dir, struct footprint *ret)
{
	json_t *info = NULL, *status = NULL, *stats = NULL;
	int rc = ask_info(ctl, name, &info);

	*ret = (struct footprint){0};
	if (rc == CTL_DONE)
		rc = ask_status(ctl, name, &status);
	if (rc == CTL_DONE)
		rc = ask_stats(ctl, name, &stats);
	if (rc == CTL_DONE) {
		measure_folder(ret, ask_text(info, "path"));
		measure_program(ret, info);
		measure_logs(ret, state_dir, name);
		measure_processes(ret, status);
		ret->start_ms = ask_number(stats, "start_ms");
		ret->cpu_ms = ask_number(stats, "cpu_all_ms");
	}
	json_decref(info);
	json_decref(status);
	json_decref(stats);
	return rc;
}

static json_t *
footprint_json(const char *name, const struct footprint *f)
{
	const struct {
		const char *key;
		uint64_t value;
	} numbers[] = {
		{"disk_bytes", f->disk_bytes},
		{"files", f->files},
		{"program_bytes", f->program_bytes},
		{"log_bytes", f->log_bytes},
		{"processes", f->processes},
		{"rss_bytes", f->rss_bytes},
		{"swap_bytes", f->swap_bytes},
		{"threads", f->threads},
		{"descriptors", f->descriptors},
		{"start_ms", f->start_ms},
		{"cpu_ms", f->cpu_ms},
	};
	json_t *json = json_pack("{s:o}", "name", out_json_text(name));

	for (size_t i = 0; i < sizeof(numbers) / sizeof(*numbers); i++)
		json_object_set_new(json, numbers[i].key, number_json(numbers[i].value));
	json_object_set_new(json, "pss_bytes",
			    f->pss_known ? number_json(f->pss_bytes) : json_null());
	json_object_set_new(json, "private_bytes",
			    f->pss_known ? number_json(f->private_bytes) : json_null());
	return json;
}

static void
add_row(struct table *table, const char *name, const struct footprint *f)
{
	char text[FORMAT_BYTES];

	table_cell(table, OUT_BOLD, "%s", name);
	table_cell(table, OUT_PLAIN, "%s", format_size(f->disk_bytes, text));
	table_cell(table, OUT_PLAIN, "%s", format_size(f->program_bytes, text));
	table_cell(table, OUT_PLAIN, "%s", format_size(f->log_bytes, text));
	if (f->processes) {
		table_cell(table, OUT_PLAIN, "%" PRIu64, f->processes);
		table_cell(table, OUT_PLAIN, "%s", format_size(f->rss_bytes, text));
		table_cell(table, OUT_PLAIN, "%s",
			   f->pss_known ? format_size(f->private_bytes, text) : "?");
		table_cell(table, OUT_PLAIN, "%" PRIu64, f->threads);
		table_cell(table, OUT_PLAIN, "%" PRIu64, f->descriptors);
	} else {
		for (int i = 0; i < 5; i++)
			table_cell(table, OUT_DIM, "-");
	}
	table_cell(table, OUT_PLAIN, "%s", f->start_ms ? format_duration(f->start_ms, text) : "-");
	table_cell(table, OUT_PLAIN, "%s", format_duration(f->cpu_ms, text));
	table_row(table);
}

static void
show_one(const char *name, const struct footprint *f)
{
	char one[FORMAT_BYTES], two[FORMAT_BYTES], three[FORMAT_BYTES];

	out_start(OUT_BOLD);
	out_line(name);
	out_end(OUT_BOLD);
	out_field("disk", "%s in %" PRIu64 " files; program %s; logs %s",
		  format_size(f->disk_bytes, one), f->files, format_size(f->program_bytes, two),
		  format_size(f->log_bytes, three));
	if (!f->processes)
		out_field("memory", "none: it does not run");
	else if (f->pss_known)
		out_field("memory",
			  "%s resident, %s of it its own\n%s when what is shared is divided among "
			  "its users",
			  format_size(f->rss_bytes, one), format_size(f->private_bytes, two),
			  format_size(f->pss_bytes, three));
	else
		out_field("memory", "%s resident; its mappings are closed to this user",
			  format_size(f->rss_bytes, one));
	if (f->swap_bytes)
		out_field("swapped", "%s", format_size(f->swap_bytes, one));
	if (f->processes)
		out_field("processes", "%" PRIu64 ", %" PRIu64 " threads, %" PRIu64 " descriptors",
			  f->processes, f->threads, f->descriptors);
	out_field("start", "%s from spawn to ready, the last time",
		  f->start_ms ? format_duration(f->start_ms, one) : "never");
	out_field("processor", "%s so far", format_duration(f->cpu_ms, one));
}

/* ---- the verb ---- */

static int
each(struct ctl *ctl, const json_t *names, const char *state_dir, bool one)
{
	static const char *const heads[] = {"NAME",   ">DISK",   "?>PROGRAM", ">LOGS",
					    ">PROCS", ">MEMORY", ">OWN",      "?>THREADS",
					    "?>OPEN", ">START",  ">CPU",      NULL};
	struct table *table = table_new(heads);
	json_t *list = json_array(), *name;
	struct footprint footprint;
	int rc = CTL_DONE;
	size_t i;

	json_array_foreach(names, i, name)
	{
		const char *text = json_string_value(name);

		rc = measure(ctl, text, state_dir, &footprint);
		if (rc != CTL_DONE)
			break;
		if (ctl->json)
			json_array_append_new(list, footprint_json(text, &footprint));
		else if (one)
			show_one(text, &footprint);
		else
			add_row(table, text, &footprint);
	}
	if (rc == CTL_DONE && ctl->json)
		out_json(json_pack("{s:O}", "plugins", list));
	else if (rc == CTL_DONE && !one && i)
		table_print(table);
	json_decref(list);
	table_free(table);
	return rc;
}

static json_t *
names_of(struct ctl *ctl, const struct args *args)
{
	json_t *names = json_array(), *lines = NULL, *line;
	size_t i;

	for (i = 0; i < args->word_count; i++)
		json_array_append_new(names, json_string(args->words[i]));
	if (args->word_count || ask_list(ctl, &lines) != CTL_DONE)
		return names;
	json_array_foreach(lines, i, line) json_array_append(names, json_object_get(line, "name"));
	json_decref(lines);
	return names;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	json_t *daemon = NULL, *names;
	int rc = ask_status(ctl, "", &daemon);

	if (rc != CTL_DONE)
		return rc;
	names = names_of(ctl, args);
	rc = each(ctl, names, ask_text(daemon, "state_dir"), args->word_count == 1);
	json_decref(names);
	json_decref(daemon);
	return rc;
}

const struct verb verb_size = {
	.name = "size",
	.args = "[NAME…]",
	.summary = "show what plugins cost: disk, memory, start",
	.help = "Measures the plugin's folder and its log files, the memory, threads and "
		"descriptors of all its processes, and tells how long its last start took.  OWN "
		"is the memory that ends with the plugin; MEMORY counts also what it shares with "
		"others, such as libraries.  Without a NAME a line for each plugin.",
	.examples =
		(const struct verb_example[]){
			{"plugctl size gpt2", "one plugin"},
			{"plugctl size", "all"},
			{NULL},
		},
	.complete = COMPLETE_PLUGINS,
	.max_args = VERB_ANY,
	.paged = true,
	.run = run,
};
