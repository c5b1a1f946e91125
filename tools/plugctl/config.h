/* What `plugctl config` shows of an answer. */
#ifndef PLUGCTL_CONFIG_H
#define PLUGCTL_CONFIG_H

#include "ctl.h"

/* What comes of a request, put together; zero at first. */
struct config_answer {
	json_t *items, *changes, *differences; /* lists of documents */
	json_t *done;                          /* of a change: detail, number, took_ms */
};

void config_answer_init(struct config_answer *answer);
void config_answer_fini(struct config_answer *answer);

/* For ctl_request(). */
bool config_take(const Plug__Response *response, void *answer);

void config_print_items(const struct config_answer *answer, bool origins);
void config_print_changes(const struct config_answer *answer);
void config_print_differences(const struct config_answer *answer);

#endif
