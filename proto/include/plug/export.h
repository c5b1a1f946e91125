/* Marks what shared builds of libplug export. */
#ifndef PLUG_EXPORT_H
#define PLUG_EXPORT_H

#define PLUG_API               __attribute__((visibility("default")))

#define PLUG_PRINTF(at, first) __attribute__((format(printf, at, first)))

#endif
