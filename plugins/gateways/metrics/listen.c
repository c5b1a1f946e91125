#include "listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define BACKLOG 16

/* "HOST:PORT" in two; HOST loses its brackets. */
static bool
split(const char *text, char host[LISTEN_TEXT_BYTES], const char **ret_port)
{
	const char *colon = strrchr(text, ':');
	size_t length = colon ? (size_t)(colon - text) : 0;
	bool brackets = length >= 2 && text[0] == '[' && text[length - 1] == ']';

	if (!length || length >= LISTEN_TEXT_BYTES)
		return false;
	if (brackets) {
		text++;
		length -= 2;
	}
	memcpy(host, text, length);
	host[length] = '\0';
	*ret_port = colon + 1;
	return brackets == (strchr(host, ':') != NULL); /* an IPv6 address has them, no other */
}

/* getaddrinfo() takes 65536 for 0. */
static bool
is_port(const char *text)
{
	size_t length = strlen(text);

	return length && length <= 5 && strspn(text, "0123456789") == length && atoi(text) <= 65535;
}

/* NULL: it is none. */
static struct addrinfo *
parse(const char *text)
{
	struct addrinfo hints = {.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV | AI_PASSIVE,
				 .ai_socktype = SOCK_STREAM};
	char host[LISTEN_TEXT_BYTES];
	struct addrinfo *found;
	const char *port;

	if (!split(text, host, &port) || !is_port(port) || getaddrinfo(host, port, &hints, &found))
		return NULL;
	return found;
}

static int
open_at(const struct addrinfo *at)
{
	int fd = socket(at->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0), on = 1, error;

	if (fd < 0)
		return -1;
	/* Else the port of a process that ended a moment ago is taken for a minute. */
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (at->ai_family == AF_INET6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on));
	if (!bind(fd, at->ai_addr, at->ai_addrlen) && !listen(fd, BACKLOG))
		return fd;
	error = errno;
	close(fd);
	errno = error;
	return -1;
}

static void
explain(const char *text, int error, char why[LISTEN_WHY_BYTES])
{
	if (error == EADDRINUSE)
		snprintf(why, LISTEN_WHY_BYTES,
			 "listen: %s is taken by another process (`ss -ltnp` names it); set config "
			 "key listen to another port, or, if it is this plugin's own process that "
			 "is "
			 "being reloaded, use plugctl reload --in-place",
			 text);
	else if (error == EADDRNOTAVAIL)
		snprintf(why, LISTEN_WHY_BYTES,
			 "listen: %s: no interface of this machine has the address; expected one "
			 "of `ip address`, or 127.0.0.1",
			 text);
	else
		snprintf(why, LISTEN_WHY_BYTES,
			 "listen: %s: %s; set config key listen to another ADDRESS:PORT", text,
			 strerrordesc_np(error));
}

int
listen_open(const char *text, char why[LISTEN_WHY_BYTES])
{
	struct addrinfo *at = parse(text);
	int fd;

	if (!at) {
		snprintf(why, LISTEN_WHY_BYTES,
			 "listen: found \"%.64s\"; expected ADDRESS:PORT in numbers, such as "
			 "127.0.0.1:9464 or [::1]:9464",
			 text);
		return -1;
	}
	fd = open_at(at);
	if (fd < 0)
		explain(text, errno, why);
	freeaddrinfo(at);
	return fd;
}

void
listen_text(int fd, char text[LISTEN_TEXT_BYTES])
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);
	char host[INET6_ADDRSTRLEN], port[8];

	*text = '\0';
	if (!getsockname(fd, (struct sockaddr *)&address, &length) &&
	    !getnameinfo((struct sockaddr *)&address, length, host, sizeof(host), port,
			 sizeof(port), NI_NUMERICHOST | NI_NUMERICSERV))
		snprintf(text, LISTEN_TEXT_BYTES,
			 address.ss_family == AF_INET6 ? "[%s]:%s" : "%s:%s", host, port);
}

bool
listen_is_loopback(int fd)
{
	struct sockaddr_storage address;
	socklen_t length = sizeof(address);

	if (getsockname(fd, (struct sockaddr *)&address, &length))
		return false;
	if (address.ss_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&((struct sockaddr_in6 *)&address)->sin6_addr);
	return ntohl(((struct sockaddr_in *)&address)->sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}
