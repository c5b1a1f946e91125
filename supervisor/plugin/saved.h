/*
 * Plugins, their processes and what is remembered of them over an upgrade of plugd; see
 * state/state.h.  Loop's thread only.
 *
 * Specs and versions are shared, so they are in tables, and everything else names them by index.
 */
#ifndef PLUGD_PLUGIN_SAVED_H
#define PLUGD_PLUGIN_SAVED_H

#include "core/settings.h"
#include "plugin/registry.h"
#include "state/state.h"

struct saved_table {
	const void **items;
	size_t count, capacity;
};

struct plugins_out {
	struct state_out *out;
	Plugd__Saved *saved;
	struct saved_table settings, specs, versions;
};

/* Writes what is shared into `saved` as it is asked for. */
void plugins_out_init(struct plugins_out *po, struct state_out *out, Plugd__Saved *saved);
void plugins_out_fini(struct plugins_out *po);

/* Their index plus one; 0 for NULL. */
uint32_t plugins_out_settings(struct plugins_out *po, struct kept_text *text);
uint32_t plugins_out_spec(struct plugins_out *po, const struct spec *spec);
uint32_t plugins_out_version(struct plugins_out *po, const struct version *version);

struct plugins_in {
	struct state_in *in;
	struct host *host;
	struct settings **settings;
	struct spec **specs;
	struct version **versions;
};

/* Reads what is shared.  plugins_in_fini() in any case. */
void plugins_in_init(struct plugins_in *pi, struct state_in *in, struct host *host);
void plugins_in_fini(struct plugins_in *pi);

/* A new reference, or NULL. */
struct spec *plugins_in_spec(struct plugins_in *pi, uint32_t saved);
struct version *plugins_in_version(struct plugins_in *pi, uint32_t saved);

/* All of them, those that cannot be used too, events and graves. */
void registry_save(struct registry *registry, struct plugins_out *po);
/* `registry` is empty. */
void registry_restore(struct registry *registry, struct plugins_in *pi);

/* For what belongs to a process: that of this generation, or NULL. */
struct instance *plugin_instance(const struct plugin *plugin, uint32_t generation);

/* ---- of the parts ---- */

Plugd__SavedPlugin *plugin_save(struct plugin *plugin, struct plugins_out *po);
/* NULL when memory is short. */
struct plugin *plugin_restore(const Plugd__SavedPlugin *saved, struct plugins_in *pi);

Plugd__SavedInstance *instance_save(struct instance *instance, struct plugins_out *po);
void instance_restore(struct plugin *plugin, const Plugd__SavedInstance *saved,
		      struct plugins_in *pi);

Plugd__SavedSlot *slot_save(struct slot *slot, struct plugins_out *po);
/* The first before its plugin's instances, the second after them. */
struct slot *slot_restore(struct plugin *plugin, const Plugd__SavedSlot *saved,
			  struct plugins_in *pi);
void slot_restore_processes(struct slot *slot, const Plugd__SavedSlot *saved,
			    struct plugins_in *pi);

Plugd__SavedBroker *broker_save(struct broker *broker, struct state_out *out);
void broker_restore(struct broker *broker, struct ev_loop *loop, const Plugd__SavedBroker *saved,
		    struct state_in *in);

Plugd__SavedPipe *output_pipe_save(struct output_pipe *pipe, struct state_out *out);
void output_pipe_restore(struct output_pipe *pipe, struct instance *instance,
			 enum output_stream stream, const Plugd__SavedPipe *saved,
			 struct state_in *in);

Plugd__SavedOutput *output_save(struct output *output, struct state_out *out);
void output_restore(struct output *output, const Plugd__SavedOutput *saved, struct state_in *in);

void crashes_save(struct crashes *crashes, Plugd__SavedPlugin *saved, struct state_out *out);
void crashes_restore(struct crashes *crashes, const Plugd__SavedPlugin *saved, struct state_in *in);
Plugd__SavedStats *stats_save(struct stats *stats, struct state_out *out);
void stats_restore(struct stats *stats, const Plugd__SavedStats *saved, struct state_in *in);
Plugd__SavedDataStats *data_stats_save(struct data_stats *stats, struct state_out *out);
void data_stats_restore(struct data_stats *stats, const Plugd__SavedDataStats *saved,
			struct state_in *in);
struct plug_trace;
struct last_calls;
ProtobufCBinaryData trace_save(const struct plug_trace *trace);
/* NULL: there was none, or one that this plugd cannot read. */
struct plug_trace *trace_restore(const ProtobufCBinaryData *saved);
Plugd__SavedLastCalls *last_calls_save(struct last_calls *last, struct state_out *out);
struct last_calls *last_calls_restore(const Plugd__SavedLastCalls *saved, struct state_in *in);

Plugd__SavedExit *exit_save(const struct exit_status *status, struct state_out *out);
void exit_restore(struct exit_status *status, const Plugd__SavedExit *saved);

void events_save(struct events *events, Plugd__SavedDaemon *saved, struct state_out *out);
void events_restore(struct events *events, const Plugd__SavedDaemon *saved, struct state_in *in);
void graves_save(struct graves *graves, Plugd__SavedDaemon *saved, struct state_out *out);
void graves_restore(struct graves *graves, const Plugd__SavedDaemon *saved, struct state_in *in);

#endif
