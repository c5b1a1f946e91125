/*
 * Are the Python packages there that a plugin requires?
 *
 * Nothing is executed and no file of a package is opened: what counts are the names of *.dist-info
 * and *.egg-info in the folders where the plugin's Python looks for packages.  These are, the first
 * that has a package wins:
 *
 *   1. PYTHONPATH of run.env, else the one that it inherits;
 *   2. of the virtual environment that its program is in, or is made in its folder (.venv);
 *   3. else, and where that environment says so, those of the program's own installation, where it
 *      is a Python outside of /usr, or the system's.
 *
 * Which Python executes a script is not asked: where a place has several, all of them count.  What
 * .pth and .egg-link files lead to is not looked at.  Reads directories, at most PACKAGES_ENTRIES
 * entries in all; nothing waits but for the file system.
 */
#ifndef PLUGD_PACKAGES_H
#define PLUGD_PACKAGES_H

#include <stdbool.h>

#include "core/manifest.h"

#define PACKAGES_ENTRIES    20000
#define PACKAGES_TEXT_BYTES 960

struct packages_look {
	const struct manifest *manifest;
	const char *program; /* of exec, absolute; NULL: it was not found */
	const char *root;    /* that the system's folders are below; NULL: they are at / */
};

/* `text` says what was found, what was expected and what to do, and follows "requires.packages: ".
 */
typedef void (*packages_on_unmet)(void *context, const struct manifest_package *package,
				  const char *text);

/* True when all are there.  Else on_unmet was called for each that is not. */
bool packages_check(const struct packages_look *look, packages_on_unmet on_unmet, void *context);

/* False: the manifest has an environment of its own, and nobody has made it yet. */
bool packages_are_made(const struct packages_look *look);

#endif
