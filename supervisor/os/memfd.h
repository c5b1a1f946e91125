/*
 * Sealed memory that processes share.  Any thread; nothing here blocks, allocates or logs.
 */
#ifndef PLUGD_MEMFD_H
#define PLUGD_MEMFD_H

#include <stddef.h>
#include <stdint.h>

#include <plug/error.h>

/*
 * What is wrong with memory that a stranger sent, or NULL: it has to be a memfd of exactly `bytes`,
 * sealed against shrinking, growing, new writers and further seals, with all its memory taken by
 * whoever made it.  The text is static and reads on after "the region".
 */
const char *memfd_fault(int fd, uint64_t bytes);

/*
 * A page that others can only read: made and mapped here for writing, its size sealed.  *ret_fd is
 * open for reading only, and the memory belongs to this user alone (0600): a process of another one
 * that gets the descriptor cannot open it anew for writing.  On success the caller closes *ret_fd
 * and ends *ret_page with memfd_page_free().
 *
 * PLUG_ESYS  errno says why
 */
plug_err memfd_page_new(const char *name, size_t bytes, int *ret_fd, void **ret_page);

/* The same page mapped for writing once more, by who made it: an execve takes mappings away. */
plug_err memfd_page_map(int fd, size_t bytes, void **ret_page);

void memfd_page_free(void *page, size_t bytes); /* NULL is allowed */

/* Wake all who wait for this word of such a page with FUTEX_WAIT, whatever process they are. */
void memfd_page_wake(const uint32_t *word);

#endif
