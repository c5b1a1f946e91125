#include "os/rlimit.h"

plug_err
rlimit_raise_nofile(rlim_t want, rlim_t *ret_old, rlim_t *ret_now)
{
	struct rlimit limit, raised;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return PLUG_ESYS;
	raised = limit;
	if (raised.rlim_cur < want)
		raised.rlim_cur = want < limit.rlim_max ? want : limit.rlim_max;
	if (raised.rlim_cur != limit.rlim_cur && setrlimit(RLIMIT_NOFILE, &raised) < 0)
		return PLUG_ESYS;
	*ret_old = limit.rlim_cur;
	*ret_now = raised.rlim_cur;
	return PLUG_OK;
}
