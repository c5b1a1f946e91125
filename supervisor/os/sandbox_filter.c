/*
 * A list of what is refused rather than of what is allowed: plugins are whole programs with
 * interpreters, CUDA and whatever the next glibc uses, and none of that needs to mount, to load
 * kernel modules or to look into other processes.  A refused call fails with EPERM, so that a
 * library that only tries goes on.  Calls of another architecture or of x32 are refused with
 * ENOSYS, because their numbers mean other things.
 */
#include <errno.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/syscall.h>

#include "os/sandbox.h"

#if defined(__x86_64__)
#define OWN_ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define OWN_ARCH AUDIT_ARCH_AARCH64
#endif

#define X32_BIT 0x40000000u

/* Numbers that are missing in one architecture or in older headers are left out there. */
static const int refused[] = {
	/* the filesystem tree */
	SYS_mount,
	SYS_umount2,
	SYS_pivot_root,
	SYS_chroot,
	SYS_open_by_handle_at,
	SYS_quotactl,
	SYS_swapon,
	SYS_swapoff,
	SYS_acct,
	SYS_fanotify_init,
#ifdef SYS_move_mount
	SYS_move_mount,
	SYS_open_tree,
	SYS_fsopen,
	SYS_fsconfig,
	SYS_fsmount,
	SYS_fspick,
#endif
#ifdef SYS_mount_setattr
	SYS_mount_setattr,
#endif
	/* the kernel */
	SYS_init_module,
	SYS_finit_module,
	SYS_delete_module,
	SYS_kexec_load,
	SYS_reboot,
	SYS_syslog,
	SYS_bpf,
	SYS_perf_event_open,
#ifdef SYS_kexec_file_load
	SYS_kexec_file_load,
#endif
#ifdef SYS_iopl
	SYS_iopl,
	SYS_ioperm,
#endif
	/* clocks and names of the machine */
	SYS_settimeofday,
	SYS_clock_settime,
	SYS_adjtimex,
	SYS_clock_adjtime,
	SYS_sethostname,
	SYS_setdomainname,
	SYS_vhangup,
	/* other processes and namespaces */
	SYS_ptrace,
	SYS_process_vm_readv,
	SYS_process_vm_writev,
	SYS_kcmp,
	SYS_setns,
	SYS_unshare,
#ifdef SYS_pidfd_getfd
	SYS_pidfd_getfd,
#endif
	/* the keyring */
	SYS_keyctl,
	SYS_add_key,
	SYS_request_key,
	/* interfaces that have mostly been ways out */
	SYS_userfaultfd,
#ifdef SYS_io_uring_setup
	SYS_io_uring_setup,
	SYS_io_uring_enter,
	SYS_io_uring_register,
#endif
};

#define REFUSED (sizeof(refused) / sizeof(refused[0]))

bool
sandbox_filter_refuses(int number)
{
	for (size_t i = 0; i < REFUSED; i++)
		if (refused[i] == number)
			return true;
	return false;
}

#ifdef OWN_ARCH

#define HEAD 6
#define LOAD(field) \
	BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, field))
#define RETURN(what)  BPF_STMT(BPF_RET | BPF_K, (what))
#define ERROR(number) (SECCOMP_RET_ERRNO | (number))

struct sock_fprog
sandbox_filter_program(void)
{
	static struct sock_filter code[HEAD + REFUSED + 3];
	static const struct sock_filter head[HEAD] = {
		LOAD(arch),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, OWN_ARCH, 1, 0),
		RETURN(ERROR(ENOSYS)),
		LOAD(nr),
		BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, X32_BIT, 0, 1),
		RETURN(ERROR(ENOSYS)),
	};
	static const struct sock_filter allow = RETURN(SECCOMP_RET_ALLOW);
	static const struct sock_filter refuse = RETURN(ERROR(EPERM));
	size_t at = 0;

	_Static_assert(REFUSED < 200, "a jump reaches 255 instructions");
	for (; at < HEAD; at++)
		code[at] = head[at];
	for (size_t i = 0; i < REFUSED; i++, at++)
		code[at] = (struct sock_filter)BPF_JUMP(
			BPF_JMP | BPF_JEQ | BPF_K, (uint32_t)refused[i], (uint8_t)(REFUSED - i), 0);
	code[at++] = allow;
	code[at++] = refuse;
	return (struct sock_fprog){.len = (unsigned short)at, .filter = code};
}

#else

struct sock_fprog
sandbox_filter_program(void)
{
	return (struct sock_fprog){.len = 0};
}

#endif
