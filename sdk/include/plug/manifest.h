/*
 * The manifest inside the program: then a plugin is a single file, and nothing else is needed.
 *
 *   PLUG_MANIFEST("plugin: hello\n"
 *                 "version: 1.0.0\n"
 *                 "type: feature\n");
 *
 * Once in a program, outside of every function, in the file that has main() (of a library the
 * linker might leave it out).  The text is that of a plugin.yaml, at most 256 KiB, as one string
 * literal; `exec` may be left out, and is then the program itself.  plugd reads it from the file
 * without executing it; `strip` leaves it where it is.
 */
#ifndef PLUG_MANIFEST_H
#define PLUG_MANIFEST_H

#if defined(__has_attribute)
#if __has_attribute(retain)
#define PLUG_MANIFEST_KEPT __attribute__((used, retain))
#endif
#endif
#ifndef PLUG_MANIFEST_KEPT
#define PLUG_MANIFEST_KEPT __attribute__((used))
#endif

#define PLUG_MANIFEST(text)                                       \
	static const char plug_manifest_text[] PLUG_MANIFEST_KEPT \
		__attribute__((section(".plug.manifest"), aligned(1))) = text

#endif
