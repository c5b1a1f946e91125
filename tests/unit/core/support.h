/* What the tests of core/ share. */
#ifndef TEST_CORE_SUPPORT_H
#define TEST_CORE_SUPPORT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "core/diag.h"
#include "core/manifest.h"
#include "core/settings.h"
#include "core/yaml.h"

/* A manifest with everything that is required, then `more`, as text in one static buffer a call. */
#define MINIMAL "plugin: echo\nversion: 1.2.3\ntype: feature\nexec: [./echo]\n"

struct yaml_source text_source(const char *file, const char *text);

/* plugin.yaml in /plugins/echo; NULL after an error. */
struct manifest *parse_manifest(const char *text, struct diags *diags);
struct settings *parse_settings(const char *text, struct diags *diags);

/* All formatted lines, joined by newlines; freed by the caller. */
char *diags_text(const struct diags *diags);

/* Fails the test, showing all entries, unless one formatted line contains `expected`. */
void assert_diag(const struct diags *diags, const char *expected);
void assert_no_diag(const struct diags *diags);

/* Every entry names a file and a place in it. */
void assert_places(const struct diags *diags);

#endif
