#include "check_read.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "core/embedded.h"
#include "core/yaml.h"

static bool
read_at(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	const int *fd = context;
	char *to = buffer;

	while (bytes) {
		ssize_t got = pread(*fd, to, bytes, (off_t)offset);

		if (got <= 0) {
			errno = got ? errno : EIO;
			return false;
		}
		to += got;
		offset += (uint64_t)got;
		bytes -= (size_t)got;
	}
	return true;
}

/* As much as a manifest may have, and a byte more, so that more of it shows. */
static char *
read_head(int fd, size_t *ret_size)
{
	char *text = malloc(YAML_BYTES + 2);
	ssize_t got = 1;
	size_t size = 0;

	while (text && got > 0 && size <= YAML_BYTES) {
		got = read(fd, text + size, YAML_BYTES + 1 - size);
		size += got > 0 ? (size_t)got : 0;
	}
	if (text && got >= 0) {
		text[size] = '\0';
		*ret_size = size;
		return text;
	}
	free(text);
	return NULL;
}

static bool
is_elf(const char *head, size_t size)
{
	return size >= SELFMAG && !memcmp(head, ELFMAG, SELFMAG);
}

static bool
is_script(const char *head, size_t size)
{
	return size >= 2 && head[0] == '#' && head[1] == '!';
}

static plug_err
read_inside(int fd, const char *head, size_t size, char **ret_text, size_t *ret_size, char *why)
{
	struct stat info;
	struct embedded_file file = {.read = read_at, .context = &fd};

	if (fstat(fd, &info) < 0)
		return PLUG_ESYS;
	file.size = (uint64_t)info.st_size;
	if (is_elf(head, size))
		return elf_manifest(&file, ret_text, ret_size, why);
	return script_manifest(head, size < EMBEDDED_BYTES ? size : EMBEDDED_BYTES,
			       size > EMBEDDED_BYTES, ret_text, ret_size, why);
}

static void
explain(const char *path, plug_err err, const char *why, struct diags *diags)
{
	const struct diag_pos pos = {.file = path};

	if (err == PLUG_ENOTFOUND)
		diag_error(diags, &pos,
			   "an executable that holds no manifest; expected PLUG_MANIFEST() in a "
			   "program, or a comment \"" EMBEDDED_BEGIN
			   "\" at the head of a script; else name the plugin.yaml");
	else if (err == PLUG_ESYS)
		diag_error(diags, &pos, "cannot be read: %s", strerror(errno));
	else
		diag_error(diags, &pos, "%s", err == PLUG_ENOMEM ? "out of memory" : why);
}

char *
check_read(const char *path, size_t *ret_size, bool *ret_single, struct diags *diags)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char why[EMBEDDED_WHY_BYTES] = "", *text = NULL;
	size_t size = 0;
	char *head = fd < 0 ? NULL : read_head(fd, &size);
	plug_err err;

	*ret_single = false;
	if (!head) {
		explain(path, PLUG_ESYS, "", diags);
		return NULL;
	}
	if (!is_elf(head, size) && !is_script(head, size)) {
		*ret_size = size;
		return head;
	}
	*ret_single = true;
	err = read_inside(fd, head, size, &text, ret_size, why);
	free(head);
	if (err)
		explain(path, err, why, diags);
	return err ? NULL : text;
}

bool
check_holds_manifest(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	char why[EMBEDDED_WHY_BYTES], *text = NULL;
	size_t size = 0, text_size;
	char *head = fd < 0 ? NULL : read_head(fd, &size);
	plug_err err = PLUG_ENOTFOUND;

	if (head && (is_elf(head, size) || is_script(head, size)))
		err = read_inside(fd, head, size, &text, &text_size, why);
	free(head);
	if (!err)
		free(text);
	return err != PLUG_ENOTFOUND;
}
