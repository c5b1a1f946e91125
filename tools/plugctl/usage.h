/* Help texts, made from the verb table. */
#ifndef PLUGCTL_USAGE_H
#define PLUGCTL_USAGE_H

#include <jansson.h>
#include <stdio.h>

#include "verb.h"

void usage_all(FILE *to);
void usage_verb(FILE *to, const struct verb *verb);

/* The same as data, the caller's; NULL: no memory. */
json_t *usage_all_json(void);
json_t *usage_verb_json(const struct verb *verb);

/* Whichever is asked for to stdout; of all verbs (NULL) with the commands of plugins below. */
void help_print(struct ctl *ctl, const struct verb *verb);

/* "-n, --lines N" */
#define USAGE_OPTION_BYTES 80
const char *usage_option(const struct option_spec *option, char buffer[USAGE_OPTION_BYTES]);

#endif
