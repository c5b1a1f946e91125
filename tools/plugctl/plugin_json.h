/* Messages that several verbs print, as JSON.  Each is the caller's; NULL: no memory. */
#ifndef PLUGCTL_PLUGIN_JSON_H
#define PLUGCTL_PLUGIN_JSON_H

#include <jansson.h>

#include "codec.h"

json_t *plugin_line_json(const Plug__PluginLine *line);
json_t *bad_plugin_json(const Plug__BadPlugin *bad);
json_t *call_in_flight_json(const Plug__CallInFlight *call);
json_t *strings_json(char *const *strings, size_t count);

/* A number that JSON readers take as an integer, whatever its size on the wire. */
json_t *number_json(uint64_t number);

#endif
