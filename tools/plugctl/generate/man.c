/* plugctl.1 in the man macros. */
#include <string.h>

#include "generate.h"
#include "wire.h"

/* Text whose characters mean nothing to roff. */
static void
text(FILE *to, const char *words)
{
	bool line_start = true;

	for (; *words; words++) {
		if (line_start && (*words == '.' || *words == '\''))
			fputs("\\&", to);
		line_start = *words == '\n';
		switch (*words) {
		case '\\':
			fputs("\\e", to);
			break;
		case '-':
			fputs("\\-", to);
			break;
		case '\'':
			fputs("\\(aq", to);
			break;
		case '`':
			fputs("\\(ga", to);
			break;
		case '^':
			fputs("\\(ha", to);
			break;
		case '~':
			fputs("\\(ti", to);
			break;
		case '"':
			fputs("\\(dq", to);
			break;
		default:
			fputc(*words, to);
		}
	}
}

static void
paragraphs(FILE *to, const char *words)
{
	const char *end;

	for (; words; words = end ? end + 2 : NULL) {
		end = strstr(words, "\n\n");
		fputs(".PP\n", to);
		for (const char *c = words; *c && c != end; c++) {
			char one[2] = {*c, '\0'};

			text(to, one);
		}
		fputc('\n', to);
	}
}

static void
option(FILE *to, const struct option_spec *option_of)
{
	fputs(".TP\n", to);
	if (option_of->letter)
		fprintf(to, "\\fB\\-%c\\fR, ", option_of->letter);
	fputs("\\fB\\-\\-", to);
	text(to, option_of->name);
	fputs("\\fR", to);
	if (option_of->arg) {
		fputs(" \\fI", to);
		text(to, option_of->arg);
		fputs("\\fR", to);
	}
	fputc('\n', to);
	text(to, option_of->help);
	fputs(".\n", to);
}

static void
verb(FILE *to, const struct verb *one)
{
	fputs(".SS \"", to);
	text(to, one->name);
	fputs(one->options ? " [options]" : "", to);
	if (one->args) {
		fputc(' ', to);
		text(to, one->args);
	}
	fputs("\"\n", to);
	paragraphs(to, one->help);
	for (const struct option_spec *o = one->options; o && o->name; o++)
		option(to, o);
	for (const struct verb_example *e = one->examples; e && e->command; e++) {
		fputs(".PP\n", to);
		text(to, e->text);
		fputs(":\n.PP\n.in +4n\n.nf\n", to);
		text(to, e->command);
		fputs("\n.fi\n.in\n", to);
	}
}

static void
environment(FILE *to)
{
	fputs(".SH ENVIRONMENT\n"
	      ".TP\n\\fBPLUGD_SOCKET\\fR\n"
	      "Path of plugd's socket, unless \\fB\\-\\-runtime\\-dir\\fR is given.\n"
	      ".TP\n\\fBXDG_RUNTIME_DIR\\fR\n"
	      "If set, plugd.sock is looked for in its folder plugd; otherwise in /run/plugd.\n"
	      ".TP\n\\fBNO_COLOR\\fR\n"
	      "If not empty, no colours.\n",
	      to);
}

void
generate_man(FILE *to)
{
	fprintf(to, ".TH PLUGCTL 1 \"\" \"plug %s\" \"User Commands\"\n.nh\n.ad l\n", PLUG_VERSION);
	fputs(".SH NAME\nplugctl \\- direct plugd, the plugin supervisor\n"
	      ".SH SYNOPSIS\n\\fBplugctl\\fR [\\fIglobal options\\fR] \\fIVERB\\fR "
	      "[\\fIoptions\\fR] [\\fIarguments\\fR]\n"
	      ".SH DESCRIPTION\n"
	      "plugctl asks the plugd that runs about its plugins and directs them.  Global "
	      "options "
	      "may stand before or after the verb; after \\fB\\-\\-\\fR nothing is an option.\n"
	      ".PP\n"
	      "Tables and colours are for terminals; programs should read \\fB\\-\\-json\\fR.  "
	      "Failures are told on stderr, with what to do next; with \\fB\\-\\-json\\fR also as "
	      "{\"name\", \"error\": {\"code\", \"message\"}} on stdout.\n"
	      ".SH \"GLOBAL OPTIONS\"\n",
	      to);
	for (const struct option_spec *o = global_options; o->name; o++)
		option(to, o);
	fputs(".SH VERBS\n", to);
	for (const struct verb *const *one = verbs; *one; one++)
		verb(to, *one);
	fputs(".SH \"EXIT STATUS\"\n", to);
	for (const struct exit_text *e = exit_texts; e->text; e++)
		fprintf(to, ".TP\n\\fB%d\\fR\n%s\n", e->status, e->text);
	environment(to);
	fputs(".SH \"SEE ALSO\"\n\\fBplugd\\fR(8), \\fBplugd.yaml\\fR(5)\n", to);
}
