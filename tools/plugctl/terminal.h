/*
 * The user's terminal, lent to a process of another session: a pseudo-terminal whose other side is
 * copied from and to ours, which is raw meanwhile, so that Ctrl-C reaches that process.
 */
#ifndef PLUGCTL_TERMINAL_H
#define PLUGCTL_TERMINAL_H

#include <stdbool.h>

struct terminal;

/* For use on stdin and stdout, which have to be terminals.  NULL: errno says why. */
struct terminal *terminal_open(void);

/* "/dev/pts/7", to be opened by the process. */
const char *terminal_path(const struct terminal *terminal);

/* Ends the copying, gives our terminal back as it was.  NULL is allowed. */
void terminal_close(struct terminal *terminal);

#endif
