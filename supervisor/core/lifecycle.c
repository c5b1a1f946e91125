#include "core/lifecycle.h"

struct step {
	bool legal;
	uint8_t next;
	uint32_t effects;
};

#define P(state, fx)                   \
	{                              \
		true, PS_##state, (fx) \
	}
#define S(state, fx)                   \
	{                              \
		true, SS_##state, (fx) \
	}
#define R(state, fx)                   \
	{                              \
		true, RS_##state, (fx) \
	}

/* clang-format off */
static const struct step process_table[PS_COUNT][PE_COUNT] = {
	[PS_STARTING] = {
		[PE_TEST]    = P(TESTING, PX(PROBE) | PX(ARM)),
		[PE_READY]   = P(READY, PX(DISARM) | PX(ROUTE)),
		[PE_FAILED]  = P(STOPPING, PX(ARM)),
		[PE_STOP]    = P(TERMINATING, PX(TERM) | PX(ARM)),
		[PE_KILL]    = P(KILLING, PX(KILL) | PX(ARM)),
		[PE_DYING]   = P(STARTING, 0),
		[PE_TIMEOUT] = P(KILLING, PX(KILL) | PX(ARM)),
		[PE_EXITED]  = P(GONE, PX(DISARM) | PX(RELEASE)),
	},
	[PS_TESTING] = {
		[PE_READY]   = P(READY, PX(DISARM) | PX(ROUTE)),
		[PE_FAILED]  = P(TERMINATING, PX(TERM) | PX(ARM)),
		[PE_STOP]    = P(DRAINING, PX(DRAIN) | PX(ARM)),
		[PE_KILL]    = P(KILLING, PX(KILL) | PX(ARM)),
		[PE_DYING]   = P(TESTING, 0),
		[PE_TIMEOUT] = P(KILLING, PX(KILL) | PX(ARM)),
		[PE_EXITED]  = P(GONE, PX(DISARM) | PX(RELEASE)),
	},
	[PS_READY] = {
		[PE_FAILED]  = P(TERMINATING, PX(TERM) | PX(ARM) | PX(VACATE)),
		[PE_STOP]    = P(DRAINING, PX(DRAIN) | PX(ARM)),
		[PE_KILL]    = P(KILLING, PX(KILL) | PX(ARM) | PX(VACATE)),
		[PE_DYING]   = P(STOPPING, PX(ARM) | PX(VACATE)),
		[PE_DRAINED] = P(READY, 0),
		[PE_EXITED]  = P(GONE, PX(RELEASE)),
	},
	[PS_DRAINING] = {
		[PE_FAILED]  = P(TERMINATING, PX(TERM) | PX(ARM)),
		[PE_STOP]    = P(DRAINING, 0),
		[PE_KILL]    = P(KILLING, PX(KILL) | PX(ARM)),
		[PE_DYING]   = P(DRAINING, 0),
		[PE_DRAINED] = P(STOPPING, PX(STOP) | PX(ARM)),
		[PE_TIMEOUT] = P(STOPPING, PX(STOP) | PX(ARM)),
		[PE_EXITED]  = P(GONE, PX(DISARM) | PX(RELEASE)),
	},
	[PS_STOPPING] = {
		[PE_FAILED]  = P(STOPPING, 0),
		[PE_STOP]    = P(STOPPING, 0),
		[PE_KILL]    = P(KILLING, PX(KILL) | PX(ARM)),
		[PE_DYING]   = P(STOPPING, 0),
		[PE_DRAINED] = P(STOPPING, 0),
		[PE_TIMEOUT] = P(TERMINATING, PX(TERM) | PX(ARM)),
		[PE_EXITED]  = P(GONE, PX(DISARM) | PX(RELEASE)),
	},
	[PS_TERMINATING] = {
		[PE_READY]   = P(TERMINATING, 0),
		[PE_FAILED]  = P(TERMINATING, 0),
		[PE_STOP]    = P(TERMINATING, 0),
		[PE_KILL]    = P(KILLING, PX(KILL) | PX(ARM)),
		[PE_DYING]   = P(TERMINATING, 0),
		[PE_DRAINED] = P(TERMINATING, 0),
		[PE_TIMEOUT] = P(KILLING, PX(KILL) | PX(ARM)),
		[PE_EXITED]  = P(GONE, PX(DISARM) | PX(RELEASE)),
	},
	[PS_KILLING] = {
		[PE_READY]   = P(KILLING, 0),
		[PE_FAILED]  = P(KILLING, 0),
		[PE_STOP]    = P(KILLING, 0),
		[PE_KILL]    = P(KILLING, 0),
		[PE_DYING]   = P(KILLING, 0),
		[PE_DRAINED] = P(KILLING, 0),
		[PE_TIMEOUT] = P(STUCK, PX(STUCK)),
		[PE_EXITED]  = P(GONE, PX(DISARM) | PX(RELEASE)),
	},
	[PS_STUCK] = {
		[PE_STOP]    = P(STUCK, 0),
		[PE_KILL]    = P(STUCK, PX(KILL)),
		[PE_DYING]   = P(STUCK, 0),
		[PE_DRAINED] = P(STUCK, 0),
		[PE_EXITED]  = P(GONE, PX(RELEASE)),
	},
};

static const struct step slot_table[SS_COUNT][SE_COUNT] = {
	[SS_STOPPED] = {
		[SE_START]   = S(STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)),
		[SE_STOP]    = S(STOPPED, SX(SETTLE)),
		[SE_RESTART] = S(STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)),
		[SE_TAKEN]   = S(READY, SX(FORGIVE) | SX(SETTLE)),
	},
	[SS_STARTING] = {
		[SE_START]	 = S(STARTING, 0),
		[SE_STOP]	 = S(STOPPING, SX(STOP_PROCESS)),
		[SE_RESTART]	 = S(RESTARTING, SX(FORGIVE) | SX(REOPEN) | SX(STOP_PROCESS)),
		[SE_READY]	 = S(READY, SX(SETTLE)),
		[SE_TAKEN]	 = S(READY, SX(SETTLE)),
		[SE_GONE_RETRY]	 = S(BACKOFF, SX(ARM)),
		[SE_GONE_DONE]	 = S(STOPPED, SX(ABANDON) | SX(SETTLE)),
		[SE_GONE_FAILED] = S(FAILED, SX(ABANDON) | SX(SETTLE)),
		[SE_GONE_BACK]	 = S(STARTING, SX(SPAWN)),
		[SE_GONE_EXCESS] = S(QUARANTINED, SX(ABANDON) | SX(SETTLE)),
	},
	[SS_READY] = {
		[SE_START]	 = S(READY, SX(SETTLE)),
		[SE_STOP]	 = S(STOPPING, SX(STOP_PROCESS)),
		[SE_RESTART]	 = S(RESTARTING, SX(FORGIVE) | SX(REOPEN) | SX(STOP_PROCESS)),
		[SE_TAKEN]	 = S(READY, 0),
		[SE_LENT]	 = S(BACKOFF, SX(ARM)),
		[SE_GONE_RETRY]	 = S(BACKOFF, SX(ARM)),
		[SE_GONE_DONE]	 = S(STOPPED, SX(ABANDON) | SX(SETTLE)),
		[SE_GONE_FAILED] = S(FAILED, SX(ABANDON) | SX(SETTLE)),
		[SE_GONE_BACK]	 = S(STARTING, SX(SPAWN)),
		[SE_GONE_EXCESS] = S(QUARANTINED, SX(ABANDON) | SX(SETTLE)),
	},
	[SS_STOPPING] = {
		[SE_START]	 = S(RESTARTING, SX(FORGIVE) | SX(REOPEN)),
		[SE_STOP]	 = S(STOPPING, 0),
		[SE_RESTART]	 = S(RESTARTING, SX(FORGIVE) | SX(REOPEN)),
		[SE_GONE_RETRY]	 = S(STOPPED, SX(ABANDON) | SX(SETTLE)),
		[SE_GONE_DONE]	 = S(STOPPED, SX(ABANDON) | SX(SETTLE)),
		[SE_GONE_FAILED] = S(STOPPED, SX(ABANDON) | SX(SETTLE)),
		[SE_GONE_BACK]	 = S(STOPPED, SX(ABANDON) | SX(SETTLE)),
		[SE_GONE_EXCESS] = S(STOPPED, SX(ABANDON) | SX(SETTLE)),
	},
	[SS_RESTARTING] = {
		[SE_START]	 = S(RESTARTING, 0),
		[SE_STOP]	 = S(STOPPING, SX(ABANDON)),
		[SE_RESTART]	 = S(RESTARTING, 0),
		[SE_GONE_RETRY]	 = S(STARTING, SX(SPAWN)),
		[SE_GONE_DONE]	 = S(STARTING, SX(SPAWN)),
		[SE_GONE_FAILED] = S(STARTING, SX(SPAWN)),
		[SE_GONE_BACK]	 = S(STARTING, SX(SPAWN)),
		[SE_GONE_EXCESS] = S(STARTING, SX(SPAWN)),
	},
	[SS_BACKOFF] = {
		[SE_START]   = S(STARTING, SX(DISARM) | SX(REOPEN) | SX(SPAWN)),
		[SE_STOP]    = S(STOPPED, SX(DISARM) | SX(ABANDON) | SX(SETTLE)),
		[SE_RESTART] = S(STARTING, SX(DISARM) | SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)),
		[SE_TAKEN]   = S(READY, SX(DISARM) | SX(SETTLE)),
		[SE_TIMEOUT] = S(STARTING, SX(SPAWN)),
	},
	[SS_FAILED] = {
		[SE_START]   = S(STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)),
		[SE_STOP]    = S(STOPPED, SX(SETTLE)),
		[SE_RESTART] = S(STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)),
		[SE_TAKEN]   = S(READY, SX(FORGIVE) | SX(SETTLE)),
	},
	[SS_QUARANTINED] = {
		[SE_START]   = S(STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)),
		[SE_STOP]    = S(STOPPED, SX(SETTLE)),
		[SE_RESTART] = S(STARTING, SX(FORGIVE) | SX(REOPEN) | SX(SPAWN)),
		[SE_TAKEN]   = S(READY, SX(FORGIVE) | SX(SETTLE)),
	},
};

static const struct step reload_table[RS_COUNT][RE_COUNT] = {
	[RS_IDLE] = {
		[RE_BESIDE]  = R(BESIDE, RX(SPAWN)),
		[RE_INSTEAD] = R(VACATING, RX(VACATE)),
		[RE_PAUSED]  = R(ALONE, RX(TAKE_UP)),
		[RE_CANCEL]  = R(IDLE, 0),
	},
	[RS_BESIDE] = {
		[RE_READY]    = R(DRAINING, RX(SWITCH)),
		[RE_NEW_GONE] = R(IDLE, RX(ROLLED_BACK)),
		[RE_OLD_GONE] = R(BESIDE, 0),
		[RE_CANCEL]   = R(IDLE, RX(END_NEW) | RX(ROLLED_BACK)),
	},
	[RS_VACATING] = {
		[RE_OLD_GONE] = R(ALONE, 0),
		[RE_CANCEL]   = R(IDLE, RX(ROLLED_BACK)),
	},
	[RS_ALONE] = {
		[RE_READY]    = R(SETTLING, RX(DONE)),
		[RE_NEW_GONE] = R(IDLE, RX(RETURN) | RX(ROLLED_BACK)),
		[RE_CANCEL]   = R(IDLE, RX(ROLLED_BACK)),
	},
	[RS_DRAINING] = {
		[RE_NEW_GONE] = R(IDLE, RX(RETURN) | RX(ROLLED_BACK)),
		[RE_OLD_GONE] = R(SETTLING, RX(DONE)),
		[RE_CANCEL]   = R(IDLE, RX(ROLLED_BACK)),
	},
	[RS_SETTLING] = {
		[RE_BESIDE]   = R(BESIDE, RX(SPAWN)),
		[RE_INSTEAD]  = R(VACATING, RX(VACATE)),
		[RE_PAUSED]   = R(ALONE, RX(TAKE_UP)),
		[RE_NEW_GONE] = R(IDLE, RX(RETURN) | RX(ROLLED_BACK)),
		[RE_CANCEL]   = R(IDLE, 0),
		[RE_TIMEOUT]  = R(IDLE, 0),
	},
};

/* clang-format on */

bool
lc_process_step(enum process_state state, enum process_event event, enum process_state *ret_next,
		uint32_t *ret_effects)
{
	const struct step *step = &process_table[state][event];

	if (!step->legal)
		return false;
	*ret_next = (enum process_state)step->next;
	*ret_effects = step->effects;
	return true;
}

bool
lc_slot_step(enum slot_state state, enum slot_event event, enum slot_state *ret_next,
	     uint32_t *ret_effects)
{
	const struct step *step = &slot_table[state][event];

	if (!step->legal)
		return false;
	*ret_next = (enum slot_state)step->next;
	*ret_effects = step->effects;
	return true;
}

bool
lc_reload_step(enum reload_state state, enum reload_event event, enum reload_state *ret_next,
	       uint32_t *ret_effects)
{
	const struct step *step = &reload_table[state][event];

	if (!step->legal)
		return false;
	*ret_next = (enum reload_state)step->next;
	*ret_effects = step->effects;
	return true;
}

bool
lc_process_has_deadline(enum process_state state)
{
	return process_table[state][PE_TIMEOUT].legal;
}

struct entry {
	const char *name, *word, *text;
};

#define ENTRY_STATE(symbol, word, text) {#symbol, word, text},
#define ENTRY_SIMPLE(symbol, text)      {#symbol, #symbol, text},

static const struct entry process_states[] = {LC_PROCESS_STATE_MAP(ENTRY_STATE)};
static const struct entry process_events[] = {LC_PROCESS_EVENT_MAP(ENTRY_SIMPLE)};
static const struct entry process_effects[] = {LC_PROCESS_EFFECT_MAP(ENTRY_SIMPLE)};
static const struct entry slot_states[] = {LC_SLOT_STATE_MAP(ENTRY_STATE)};
static const struct entry slot_events[] = {LC_SLOT_EVENT_MAP(ENTRY_SIMPLE)};
static const struct entry slot_effects[] = {LC_SLOT_EFFECT_MAP(ENTRY_SIMPLE)};
static const struct entry reload_states[] = {LC_RELOAD_STATE_MAP(ENTRY_SIMPLE)};
static const struct entry reload_events[] = {LC_RELOAD_EVENT_MAP(ENTRY_SIMPLE)};
static const struct entry reload_effects[] = {LC_RELOAD_EFFECT_MAP(ENTRY_SIMPLE)};

const char *
lc_process_word(enum process_state state)
{
	return process_states[state].word;
}

const char *
lc_process_state_name(enum process_state state)
{
	return process_states[state].name;
}

const char *
lc_process_event_name(enum process_event event)
{
	return process_events[event].name;
}

const char *
lc_slot_word(enum slot_state state)
{
	return slot_states[state].word;
}

const char *
lc_slot_event_name(enum slot_event event)
{
	return slot_events[event].name;
}

const char *
lc_reload_state_name(enum reload_state state)
{
	return reload_states[state].name;
}

const char *
lc_reload_event_name(enum reload_event event)
{
	return reload_events[event].name;
}

struct machine {
	const char *title;
	const struct entry *states, *events, *effects;
	int state_count, event_count, effect_count;
	const struct step *steps; /* [state][event] */
};

static void
print_entries(FILE *out, const char *title, const struct entry *entries, int count)
{
	fprintf(out, "\n| %s | meaning |\n|---|---|\n", title);
	for (int i = 0; i < count; i++)
		fprintf(out, "| %s | %s |\n", entries[i].name, entries[i].text);
}

static void
print_cell(FILE *out, const struct machine *m, int state, int event)
{
	const struct step *step = &m->steps[state * m->event_count + event];

	if (!step->legal) {
		fprintf(out, " – |");
		return;
	}
	fprintf(out, " %s", m->states[step->next].name);
	for (int bit = 0; bit < m->effect_count; bit++)
		if (step->effects & 1u << bit)
			fprintf(out, " `%s`", m->effects[bit].name);
	fprintf(out, " |");
}

static void
print_machine(FILE *out, const struct machine *m)
{
	fprintf(out, "\n## %s\n", m->title);
	print_entries(out, "state", m->states, m->state_count);
	print_entries(out, "event", m->events, m->event_count);
	print_entries(out, "effect", m->effects, m->effect_count);
	fprintf(out, "\nRows are states, columns events; a cell is the next state and its effects, "
		     "– is refused.\n\n|  |");
	for (int event = 0; event < m->event_count; event++)
		fprintf(out, " %s |", m->events[event].name);
	fprintf(out, "\n|---|");
	for (int event = 0; event < m->event_count; event++)
		fprintf(out, "---|");
	for (int state = 0; state < m->state_count; state++) {
		fprintf(out, "\n| **%s** |", m->states[state].name);
		for (int event = 0; event < m->event_count; event++)
			print_cell(out, m, state, event);
	}
	fprintf(out, "\n");
}

void
lc_print_markdown(FILE *out)
{
	const struct machine process = {
		"One process", process_states, process_events, process_effects,
		PS_COUNT,      PE_COUNT,       PX_BIT_COUNT,   &process_table[0][0]};
	const struct machine slot = {"Its slot", slot_states, slot_events,  slot_effects,
				     SS_COUNT,   SE_COUNT,    SX_BIT_COUNT, &slot_table[0][0]};
	const struct machine reload = {"A reload",     reload_states,      reload_events,
				       reload_effects, RS_COUNT,           RE_COUNT,
				       RX_BIT_COUNT,   &reload_table[0][0]};

	print_machine(out, &process);
	print_machine(out, &slot);
	print_machine(out, &reload);
}
