#include "serve.h"

#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTION_BYTES ((size_t)16 * 1024) /* of a request's headers */

static const char exposition_type[] = "text/plain; version=0.0.4; charset=utf-8";
static const char text_type[] = "text/plain; charset=utf-8";

struct server {
	struct MHD_Daemon *daemon;
	struct serve_ops ops;
};

/* Takes `response`. */
static enum MHD_Result
send_response(struct MHD_Connection *connection, unsigned status, const char *type,
	      struct MHD_Response *response)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, type);
	/* Messages of plugins are in it: no browser is to guess that they are a page. */
	MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
	if (status == MHD_HTTP_METHOD_NOT_ALLOWED)
		MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, "GET, HEAD");
	result = MHD_queue_response(connection, status, response);
	MHD_destroy_response(response);
	return result;
}

static enum MHD_Result
send_line(struct MHD_Connection *connection, unsigned status, const char *line)
{
	return send_response(
		connection, status, text_type,
		MHD_create_response_from_buffer(strlen(line), (void *)line, MHD_RESPMEM_MUST_COPY));
}

static enum MHD_Result
send_metrics(const struct server *server, struct MHD_Connection *connection)
{
	char why[GATHER_WHY_BYTES + 1]; /* and a newline */
	struct gathered gathered;

	if (server->ops.gather(server->ops.user, &gathered, why))
		return send_response(connection, MHD_HTTP_OK, exposition_type,
				     MHD_create_response_from_buffer(gathered.size, gathered.text,
								     MHD_RESPMEM_MUST_FREE));
	strcat(why, "\n");
	return send_line(connection, MHD_HTTP_SERVICE_UNAVAILABLE, why);
}

static enum MHD_Result
on_request(void *user, struct MHD_Connection *connection, const char *url, const char *method,
	   const char *version, const char *upload, size_t *upload_size, void **state)
{
	static const char seen; /* its address marks a request whose headers were looked at */
	bool first = !*state, here = strcmp(url, "/metrics") == 0;
	bool reads = !strcmp(method, MHD_HTTP_METHOD_GET) || !strcmp(method, MHD_HTTP_METHOD_HEAD);

	(void)version;
	(void)upload;
	*state = (void *)&seen;
	if (reads && (first || *upload_size)) { /* an answer before all has come would hang up */
		*upload_size = 0;
		return MHD_YES;
	}
	if (!here)
		return send_line(connection, MHD_HTTP_NOT_FOUND,
				 "nothing is here; the metrics are at /metrics\n");
	if (!reads)
		return send_line(connection, MHD_HTTP_METHOD_NOT_ALLOWED,
				 "metrics are only read: expected GET or HEAD\n");
	return send_metrics(user, connection);
}

struct server *
serve_start(int fd, const struct serve_ops *ops)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return NULL;
	server->ops = *ops;
	server->daemon = MHD_start_daemon(
		MHD_USE_POLL_INTERNAL_THREAD | MHD_USE_THREAD_PER_CONNECTION, 0, NULL, NULL,
		on_request, server, MHD_OPTION_LISTEN_SOCKET, fd, MHD_OPTION_CONNECTION_LIMIT,
		(unsigned)SERVE_CONNECTIONS, MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)SERVE_IDLE_S,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES, MHD_OPTION_END);
	if (server->daemon)
		return server;
	free(server);
	return NULL;
}

void
serve_stop(struct server *server)
{
	if (!server)
		return;
	MHD_stop_daemon(server->daemon);
	free(server);
}
