/* Shared by upgrade.c (until the execve) and upgrade_answer.c (what is told). */
#ifndef PLUGD_UPGRADE_PRIVATE_H
#define PLUGD_UPGRADE_PRIVATE_H

#include "upgrade/upgrade.h"

#define UPGRADE_WHY_BYTES 4096

extern const struct ticket_ops upgrade_ticket_ops;

/* It comes to nothing: told as an event and to the operator.  Phase IDLE. */
void upgrade_refuse(struct upgrade *upgrade, plug_err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Everything of one under way is let go of, but for the operator. */
void upgrade_clear(struct upgrade *upgrade);

#endif
