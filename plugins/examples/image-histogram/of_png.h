#ifndef OF_PNG_H
#define OF_PNG_H

#include <plug/plugin.h>

/* Count the values of an image, uint8[height, width, channels], into a tensor of the reply. */
plug_err count_values(struct plug_call *call, const struct plug_tensor *image,
		      struct plug_tensor *ret);

/* The connection to plugd, by which this plugin calls others. */
plug_err of_png_start(struct plug_plugin *plugin);
void of_png_stop(void);

plug_err of_png(struct plug_call *call, void *user);

#endif
