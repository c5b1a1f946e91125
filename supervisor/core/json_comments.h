/* JSON with comments, as people write it. */
#ifndef PLUGD_JSON_COMMENTS_H
#define PLUGD_JSON_COMMENTS_H

#include "core/yaml.h"

/*
 * Blanks take the place of comments (from // to the end of the line, and from slash-star to
 * star-slash) and of tabs between values, so that lines and columns stay what they are.  In place;
 * returns the length afterwards.  A comment that does not end is an error.
 */
size_t json_comments_blank(char *text, size_t length, const char *file, struct diags *diags);

#endif
