#include "doctor.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "out.h"
#include "table.h"
#include "verb.h"

struct check {
	const char *group, *name;
	void (*look)(struct ctl *ctl, struct doctor_finding *finding);
};

#define DOCTOR_ROW(group, name, function) {group, name, function},
static const struct check checks[] = {DOCTOR_CHECKS(DOCTOR_ROW)};
#define CHECKS (sizeof(checks) / sizeof(*checks))

static const char *const result_words[] = {"ok", "weak", "BROKEN"};
static const char *const result_json[] = {"ok", "weak", "broken"};
static const enum out_color result_colors[] = {OUT_GREEN, OUT_YELLOW, OUT_RED};

void
doctor_say(struct doctor_finding *finding, enum doctor_result result, const char *remedy,
	   const char *format, ...)
{
	va_list args;

	finding->result = result;
	va_start(args, format);
	vsnprintf(finding->detail, sizeof(finding->detail), format, args);
	va_end(args);
	snprintf(finding->remedy, sizeof(finding->remedy), "%s", remedy ? remedy : "");
}

void
doctor_line(const char *path, char *ret, size_t size)
{
	FILE *file = fopen(path, "re");

	if (!file || !fgets(ret, (int)size, file))
		*ret = '\0';
	ret[strcspn(ret, "\n")] = '\0';
	if (file)
		fclose(file);
}

/* ---- the report ---- */

static void
show(const struct doctor_finding *findings)
{
	static const char *const heads[] = {"GROUP", "CHECK", "RESULT", "FOUND", NULL};
	struct table *table = table_new(heads);
	bool any = false;

	for (size_t i = 0; table && i < CHECKS; i++) {
		const struct doctor_finding *f = &findings[i];
		bool same = i && strcmp(checks[i].group, checks[i - 1].group) == 0;

		table_cell(table, OUT_BOLD, "%s", same ? "" : checks[i].group);
		table_cell(table, OUT_PLAIN, "%s", checks[i].name);
		table_cell(table, result_colors[f->result], "%s", result_words[f->result]);
		table_cell(table, OUT_PLAIN, "%s", f->detail);
		table_row(table);
	}
	if (table)
		table_print(table);
	table_free(table);
	for (size_t i = 0; i < CHECKS; i++) {
		if (!*findings[i].remedy)
			continue;
		if (!any)
			puts("\nWhat to do:");
		any = true;
		out_field(checks[i].name, "%s\n-> %s", findings[i].detail, findings[i].remedy);
	}
}

static void
show_json(const struct doctor_finding *findings, bool ok)
{
	json_t *list = json_array();

	for (size_t i = 0; i < CHECKS; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o, s:o}", "group",
						      checks[i].group, "name", checks[i].name,
						      "result", result_json[findings[i].result],
						      "detail", out_json_text(findings[i].detail),
						      "remedy", out_json_text(findings[i].remedy)));
	out_json(json_pack("{s:b, s:o}", "ok", (int)ok, "checks", list));
}

static int
run(struct ctl *ctl, const struct args *args)
{
	struct doctor_finding findings[CHECKS];
	size_t broken = 0;

	(void)args;
	memset(findings, 0, sizeof(findings));
	for (size_t i = 0; i < CHECKS; i++) {
		checks[i].look(ctl, &findings[i]);
		broken += findings[i].result == DOCTOR_BROKEN;
	}
	doctor_plugd_fini();
	if (ctl->json)
		show_json(findings, broken == 0);
	else
		show(findings);
	fflush(stdout);
	if (broken)
		fprintf(stderr, "plugctl: %zu of %zu checks found something broken\n", broken,
			CHECKS);
	return broken ? CTL_FAILED : CTL_DONE;
}

const struct verb verb_doctor = {
	.name = "doctor",
	.summary = "look whether this machine has what plugd needs",
	.help = "Tries what plugd uses of the kernel, reads limits, looks for a GPU, packages and "
		"tools, and at the plugd of the runtime directory and its plugins.  Each finding "
		"is ok; weak, where plugd works with less than there could be; or broken, where "
		"it does not work or not as it should.  What is not ok has a remedy.\n\n"
		"The exit status is 1 when something is broken.  A plugd that does not run is "
		"none of that.",
	.examples =
		(const struct verb_example[]){
			{"plugctl doctor", "the whole report"},
			{"plugctl doctor --json | jq '.checks[] | select(.result != \"ok\")'",
			 "what is not as it could be"},
			{NULL},
		},
	.paged = true,
	.run = run,
};
