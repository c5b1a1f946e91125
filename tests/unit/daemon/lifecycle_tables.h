/* The tables of core/lifecycle, seen by number; for its tests. */
#ifndef LIFECYCLE_TABLES_H
#define LIFECYCLE_TABLES_H

#include "core/lifecycle.h"

/* One of the tables, seen by number. */
struct table {
	const char *title;
	int states, events, effects;
	bool (*step)(int state, int event, int *next, uint32_t *effects_of);
};

static inline bool
process_step(int state, int event, int *next, uint32_t *effects)
{
	enum process_state to = PS_COUNT;
	bool legal =
		lc_process_step((enum process_state)state, (enum process_event)event, &to, effects);

	*next = (int)to;
	return legal;
}

static inline bool
slot_step(int state, int event, int *next, uint32_t *effects)
{
	enum slot_state to = SS_COUNT;
	bool legal = lc_slot_step((enum slot_state)state, (enum slot_event)event, &to, effects);

	*next = (int)to;
	return legal;
}

static inline bool
reload_step(int state, int event, int *next, uint32_t *effects)
{
	enum reload_state to = RS_COUNT;
	bool legal =
		lc_reload_step((enum reload_state)state, (enum reload_event)event, &to, effects);

	*next = (int)to;
	return legal;
}

static const struct table __attribute__((unused))
process = {"process", PS_COUNT, PE_COUNT, PX_BIT_COUNT, process_step};
static const struct table __attribute__((unused))
slot = {"slot", SS_COUNT, SE_COUNT, SX_BIT_COUNT, slot_step};
static const struct table __attribute__((unused))
reload = {"reload", RS_COUNT, RE_COUNT, RX_BIT_COUNT, reload_step};

#define EACH_LEGAL(table, state, event, next, fx)                       \
	for (int state = 0, next = 0; state < (table)->states; state++) \
		for (int event = 0; event < (table)->events; event++)   \
			for (uint32_t fx = 0, once = 1;                 \
			     once && (table)->step(state, event, &next, &fx); once = 0)

#endif
