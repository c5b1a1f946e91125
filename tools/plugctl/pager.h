/* What does not fit the screen goes through $PAGER. */
#ifndef PLUGCTL_PAGER_H
#define PLUGCTL_PAGER_H

#include <stdbool.h>

/*
 * From now on what is printed to stdout is kept, until pager_end() prints it.  Does nothing unless
 * stdout is a terminal.
 */
void pager_begin(bool unwanted);

/* Print it: through $PAGER (less, if it is installed) when it is longer than the screen; an empty
 * $PAGER, or "cat", is none.  Waits for the pager's end. */
void pager_end(void);

#endif
