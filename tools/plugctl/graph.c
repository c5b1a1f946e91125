#include "graph.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "out.h"
#include "verb.h"

extern char **environ;

static bool
on_graph(const Plug__Response *response, void *user)
{
	const Plug__Graph *graph = response->graph;

	if (response->outcome != PLUG_OK || response->body_case != PLUG__RESPONSE__BODY_GRAPH)
		return true;
	for (size_t i = 0; i < graph->n_nodes; i++)
		json_array_append_new(user, graph_node_json(graph->nodes[i]));
	return true;
}

/* ---- a picture ---- */

/* What the end of a name says: "svg", "png", "pdf" for dot, "dot" for its text; NULL: neither. */
static const char *
kind_of(const char *path)
{
	static const char *const kinds[][2] = {
		{".svg", "svg"}, {".png", "png"}, {".pdf", "pdf"}, {".dot", "dot"}, {".gv", "dot"}};
	const char *end = strrchr(path, '.');

	for (size_t i = 0; end && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strcmp(end, kinds[i][0]) == 0)
			return kinds[i][1];
	return NULL;
}

static int
cannot(struct ctl *ctl, const char *path, const char *why)
{
	return ctl_fail(ctl, PLUG_ESYS, path, why);
}

static int
write_text(struct ctl *ctl, const char *path, const char *text)
{
	FILE *file = fopen(path, "we");
	bool written = file && fputs(text, file) >= 0;

	if (file && fclose(file))
		written = false;
	return written ? CTL_DONE : cannot(ctl, path, strerror(errno));
}

/* dot's exit status; -1 with errno: it could not be started. */
static int
run_dot(const char *kind, const char *path, int in)
{
	char name[] = "dot", format[8], to[] = "-o";
	char *const argv[] = {name, format, to, (char *)path, NULL};
	posix_spawn_file_actions_t actions;
	int error, status = 0;
	pid_t pid;

	snprintf(format, sizeof(format), "-T%s", kind);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, in, STDIN_FILENO);
	error = posix_spawnp(&pid, "dot", &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	if (error) {
		errno = error;
		return -1;
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

static int
draw(struct ctl *ctl, const char *kind, const char *path, const char *text)
{
	FILE *in = tmpfile();
	char why[128];
	int status;

	if (!in || fputs(text, in) < 0 || fflush(in) || fseek(in, 0, SEEK_SET)) {
		status = cannot(ctl, "a temporary file", strerror(errno));
		if (in)
			fclose(in);
		return status;
	}
	status = run_dot(kind, path, fileno(in));
	fclose(in);
	if (!status)
		return CTL_DONE;
	if (status < 0 && errno == ENOENT)
		return cannot(ctl, path,
			      "pictures are drawn by Graphviz, and there is no dot in $PATH: apt "
			      "install graphviz, or write FILE.dot and draw it elsewhere");
	if (status < 0)
		return cannot(ctl, "dot", strerror(errno));
	snprintf(why, sizeof(why), "dot ended with status %d and drew nothing", status);
	return cannot(ctl, path, why);
}

static int
output(struct ctl *ctl, const json_t *nodes, const char *path)
{
	const char *kind = kind_of(path);
	char *text = graph_dot(nodes);
	int status = strcmp(kind, "dot") == 0 ? write_text(ctl, path, text)
					      : draw(ctl, kind, path, text);

	free(text);
	if (status != CTL_DONE)
		return status;
	if (ctl->json)
		out_json(json_pack("{s:o, s:s}", "output", out_json_text(path), "format", kind));
	else
		printf("%s: written\n", path);
	return CTL_DONE;
}

/* ---- the verb ---- */

static int
show(struct ctl *ctl, const struct args *args, json_t *nodes, const char *name)
{
	const char *path = args_text(args, "output", NULL);
	char *text;

	if (path)
		return output(ctl, nodes, path);
	if (ctl->json) {
		out_json(json_pack("{s:O}", "plugins", nodes));
	} else if (args_flag(args, "dot")) {
		text = graph_dot(nodes);
		fputs(text, stdout);
		free(text);
	} else {
		graph_print_text(nodes, name);
	}
	return CTL_DONE;
}

static int
no_such_plugin(struct ctl *ctl, const json_t *nodes, const char *name)
{
	const char *near = graph_near(nodes, name);
	char why[160];

	snprintf(why, sizeof(why), "there is no plugin of this name%s%s%s",
		 near ? "; did you mean " : "", near ? near : "", near ? "?" : "");
	return ctl_fail(ctl, PLUG_ENOTFOUND, name, why);
}

static int
ask_and_show(struct ctl *ctl, const struct args *args, json_t *nodes)
{
	const char *name = args->word_count ? args->words[0] : NULL;
	Plug__GraphRequest graph = PLUG__GRAPH_REQUEST__INIT;
	Plug__Request request = PLUG__REQUEST__INIT;
	json_t *part;
	int status;

	request.body_case = PLUG__REQUEST__BODY_GRAPH;
	request.graph = &graph;
	status = ctl_request(ctl, &request, NULL, ctl_timeout(ctl, CTL_ANSWER_MS), on_graph, nodes);
	if (status != CTL_DONE)
		return status;
	graph_resolve(nodes);
	if (!name)
		return show(ctl, args, nodes, NULL);
	part = graph_around(nodes, name);
	if (!part)
		return no_such_plugin(ctl, nodes, name);
	status = show(ctl, args, part, name);
	json_decref(part);
	return status;
}

static int
run(struct ctl *ctl, const struct args *args)
{
	const char *path = args_text(args, "output", NULL);
	json_t *nodes;
	int status;

	if (args_flag(args, "dot") + args_flag(args, "text") + ctl->json > 1)
		return ctl_usage(ctl, "--text, --dot and --json exclude each other");
	if (path && (args_flag(args, "dot") || args_flag(args, "text")))
		return ctl_usage(ctl, "with --output the name of the file says what is written");
	if (path && !kind_of(path))
		return ctl_usage(ctl,
				 "--output %s: expected a name that ends with .svg, .png, .pdf, "
				 ".dot or .gv",
				 path);
	nodes = json_array();
	status = ask_and_show(ctl, args, nodes);
	json_decref(nodes);
	return status;
}

const struct verb verb_graph = {
	.name = "graph",
	.args = "[NAME]",
	.summary = "show which plugins require, provide and exclude what",
	.help = "Shows what plugins require, with the versions that they found, which capabilities "
		"they provide, alone or beside others, and with whom they conflict: of all, or of "
		"NAME, with what it requires, what requires it and what it must not run beside.  "
		"Plugins that are kept out or do not start because of it are shown, too; the "
		"reasons follow as sentences: a circle with all who are in it, a plugin that is "
		"missing, a version that does not fit, a conflict, an exclusive capability that "
		"another one holds.\n\n"
		"It is shown as text; with --dot as a graph in the language of Graphviz; with "
		"--output as a picture (.svg, .png, .pdf), which dot of Graphviz draws, or as the "
		"text for it (.dot, .gv).",
	.options =
		(const struct option_spec[]){
			{"text", 't', NULL, "as trees, which is what is shown without an option"},
			{"dot", 0, NULL, "in the language of Graphviz"},
			{"output", 'o', "FILE",
			 "a picture in this file, of the kind that its name says", COMPLETE_FILE},
			{NULL},
		},
	.examples =
		(const struct verb_example[]){
			{"plugctl graph", "all of them"},
			{"plugctl graph gpt2 --output gpt2.svg", "one and what it depends on"},
			{"plugctl graph --json | jq '.plugins[] | select(.problems != [])'",
			 "what keeps plugins out"},
			{NULL},
		},
	.complete = COMPLETE_PLUGIN,
	.max_args = 1,
	.paged = true,
	.run = run,
};
