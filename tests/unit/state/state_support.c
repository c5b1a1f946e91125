#include "state_support.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#define ABANDONED_MAX 64

static void *abandoned[ABANDONED_MAX];
static unsigned abandoned_count;

void
state_through(struct state_out *out, Plugd__Saved *saved, bool dry, struct state_in *ret)
{
	const struct state_versions versions = {STATE_VERSION, STATE_NEEDS};
	int fd = -1;

	assert_int_equal(state_seal(out, saved, &versions, &fd), PLUG_OK);
	state_out_fini(out);
	if (state_in_init(ret, fd, STATE_VERSION, dry))
		fail_msg("%s", ret->why);
	close(fd);
}

void
state_abandon(void *object)
{
	assert_true(abandoned_count < ABANDONED_MAX);
	abandoned[abandoned_count++] = object;
}
