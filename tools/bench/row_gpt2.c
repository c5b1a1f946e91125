/* Tokens a second of the shipped model through plugd, beside the same engine without it.  The ratio
 * to Hugging Face transformers is tools/train-gpt2/bench_peer.py's. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon.h"
#include "report.h"

#define TOKENS      128
#define GENERATIONS 5
#define PROMPT      "It is a truth universally acknowledged, that"
#define CALL_MS     60000

struct engine {
	const struct bench *bench;
	char program[PATH_MAX], model[PATH_MAX], tokens[16];
};

struct generation {
	struct daemon daemon;
	unsigned tokens;
};

static double
tokens_per_second(const char *text, size_t size, double seconds, const char *from)
{
	json_t *root = json_loadb(text, size, 0, NULL);
	json_int_t tokens = 0;
	double rate = 0;

	if (json_unpack(root, "{s:{s:I}}", "usage", "completion_tokens", &tokens) == 0)
		rate = (double)tokens / seconds;
	else
		json_unpack(root, "{s:F}", "tokens_per_second", &rate);
	json_decref(root);
	if (rate <= 0)
		bench_die("gpt2: %s says %.200s", from, text);
	return rate;
}

static bool
on_piece(const struct plug_payload *piece, void *user)
{
	(void)piece;
	(void)user;
	return true;
}

static void
plugd_round(void *arg, size_t count, struct samples *ret)
{
	struct generation *generation = arg;
	struct plug_client *client = generation->daemon.client;
	char text[256];
	struct plug_request request = {.size = sizeof(request),
				       .plugin = "gpt2",
				       .method = "generate",
				       .timeout_ms = CALL_MS};

	snprintf(text, sizeof(text), "{\"prompt\": \"%s\", \"max_tokens\": %u, \"temperature\": 0}",
		 PROMPT, generation->tokens);
	request.payload = (struct plug_payload){text, strlen(text), NULL};
	for (size_t i = 0; i < count; i++) {
		double start_us = bench_now_us();
		struct plug_reply *reply = NULL;

		if (plug_client_call(client, &request, on_piece, NULL, &reply))
			bench_die("gpt2: %s",
				  reply ? reply->message : plug_client_error_text(client));
		samples_add(ret,
			    tokens_per_second(reply->payload.data, reply->payload.size,
					      (bench_now_us() - start_us) / 1e6, "the plugin"));
		plug_reply_free(reply);
	}
}

static void
engine_round(void *arg, size_t count, struct samples *ret)
{
	struct engine *engine = arg;
	char *argv[] = {engine->program, engine->model,  (char *)"1",
			engine->tokens,  (char *)PROMPT, NULL};
	cpu_set_t cpus = process_other_cpus(engine->bench);
	struct process_request request = {.argv = argv, .stderr_fd = STDERR_FILENO, .cpus = &cpus};

	for (size_t i = 0; i < count; i++) {
		char text[512] = "";
		ssize_t size;
		int ends[2];
		pid_t pid;

		if (pipe(ends) < 0)
			bench_die("no pipe");
		request.stdout_fd = ends[1];
		pid = process_start(&request);
		close(ends[1]);
		size = read(ends[0], text, sizeof(text) - 1);
		close(ends[0]);
		if (process_wait(pid, NULL) || size <= 0)
			bench_die("gpt2-bench failed");
		samples_add(ret, tokens_per_second(text, (size_t)size, 1, "gpt2-bench"));
	}
}

void
row_gpt2(const struct bench *bench)
{
	size_t count = bench_count(bench, GENERATIONS);
	struct engine engine = {.bench = bench};
	struct generation generation = {.tokens = TOKENS};
	struct side floor = {"the engine alone", engine_round, &engine, count};
	struct side side = {"plugd", plugd_round, &generation, count};
	struct row row = {.name = "gpt2",
			  .what = "tokens a second, greedy, streamed through plugd",
			  .unit = "tokens/s",
			  .higher_is_better = true};
	char dir[PATH_MAX];

	bench_path(dir, sizeof(dir), "%s/plugins/models/gpt2", bench->build_dir);
	bench_path(engine.model, sizeof(engine.model), "%s/model", dir);
	bench_path(engine.program, sizeof(engine.program), "%s/bin/gpt2-bench", bench->build_dir);
	snprintf(engine.tokens, sizeof(engine.tokens), "%u", generation.tokens);
	if (access(engine.program, X_OK) < 0) {
		bench_progress("gpt2: not measured, %s is not built", engine.program);
		return;
	}
	daemon_start(bench, dir, &generation.daemon);
	daemon_await_ready(&generation.daemon, 1);
	daemon_pin_plugin(&generation.daemon, "gpt2");
	bench_compare(bench, &floor, &side, &row);
	snprintf(row.note, sizeof(row.note), "beside transformers: tools/train-gpt2/bench_peer.py");
	report_add(bench->report, &row);
	daemon_stop(&generation.daemon);
}
