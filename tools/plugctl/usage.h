/* Help texts, made from the verb table. */
#ifndef PLUGCTL_USAGE_H
#define PLUGCTL_USAGE_H

#include <stdio.h>

#include "verb.h"

void usage_all(FILE *to);
void usage_verb(FILE *to, const struct verb *verb);

/* "-n, --lines N" */
#define USAGE_OPTION_BYTES 80
const char *usage_option(const struct option_spec *option, char buffer[USAGE_OPTION_BYTES]);

#endif
