/* How the pieces and the result of a call are printed. */
#ifndef PLUGCTL_REPLY_H
#define PLUGCTL_REPLY_H

#include <plug/client.h>

struct reply_printer {
	bool json, raw;
	size_t pieces;
	bool mid_line; /* text was printed that did not end with a newline */
	char *text;    /* that was printed of {"text"} pieces so far; NULL: none, or too much */
	size_t text_size, text_capacity;
};

void reply_printer_fini(struct reply_printer *printer);

/* One piece of a stream, flushed. */
void reply_print_piece(struct reply_printer *printer, const struct plug_payload *piece);

/* The final payload of a call that succeeded.  A "text" in it that was printed piece by piece
 * already is left out. */
void reply_print_result(struct reply_printer *printer, const struct plug_payload *result);

/* After the last thing printed: end the line that text left open. */
void reply_end_line(struct reply_printer *printer);

#endif
