/* The text of the last failure: the thread's own for the handle it used last, so that threads that
 * share a handle do not read each other's; else the handle's. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "internal.h"

static _Thread_local struct {
	uint64_t serial; /* of the handle; 0: plug_client_open() */
	char text[PLUGC_TEXT_BYTES];
} mine;

plug_err
plugc_fail(struct plug_client *client, plug_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vsnprintf(mine.text, sizeof(mine.text), format, args);
	va_end(args);
	mine.serial = client ? client->serial : 0;
	if (client) {
		pthread_mutex_lock(&client->text_lock);
		memcpy(client->text, mine.text, sizeof(client->text));
		pthread_mutex_unlock(&client->text_lock);
	}
	return err;
}

const char *
plugc_failed(void)
{
	return mine.text;
}

const char *
plug_client_error_text(const struct plug_client *client)
{
	struct plug_client *handle = (struct plug_client *)client;

	if (!client)
		return mine.serial == 0 ? mine.text : "";
	if (mine.serial != client->serial) {
		pthread_mutex_lock(&handle->text_lock);
		memcpy(mine.text, handle->text, sizeof(mine.text));
		pthread_mutex_unlock(&handle->text_lock);
		mine.serial = client->serial;
	}
	return mine.text;
}
