#include "os/remote.h"

#include <linux/magic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/vfs.h>

/* Those of which linux/magic.h of Debian 12 has no name, by their own headers'. */
#define GPFS_MAGIC 0x47504653u
#define LUSTRE     0x0bd00bd0u

static const uint32_t remote[] = {
	NFS_SUPER_MAGIC,  SMB_SUPER_MAGIC, SMB2_SUPER_MAGIC, CIFS_SUPER_MAGIC,
	CEPH_SUPER_MAGIC, AFS_SUPER_MAGIC, CODA_SUPER_MAGIC, V9FS_MAGIC,
	GPFS_MAGIC,       LUSTRE,          FUSE_SUPER_MAGIC,
};

bool
remote_is(const char *path)
{
	struct statfs info;

	if (statfs(path, &info))
		return false;
	for (size_t i = 0; i < sizeof(remote) / sizeof(remote[0]); i++)
		if ((uint32_t)info.f_type == remote[i])
			return true;
	return false;
}
