/*
 * An archive of somebody else's, unpacked into a folder beside which nothing may change.
 *
 * The first byte says what the rest is: an archive as it is, or a script of entries, of which a tar
 * is made whose sums are right, so that mutants get past libarchive to the walk itself.
 */
#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fuzz.h"
#include "install/sums.h"
#include "install/unpack.h"
#include "script.h"
#include "store/layout.h"

#define ENTRIES  64
#define BLOCK    512
#define LIMIT    ((uint64_t)1 << 20)
#define TAR_SIZE ((size_t)ENTRIES * 2 * BLOCK + 2 * BLOCK)

enum { AS_IT_IS, SCRIPT };

static const struct unpack_limits limits = {LIMIT, ENTRIES};

/* ---- a tar of a script ---- */

static const char *const parts[] = {"a",  "b",   "..", ".",   "/",      "l",    "\\",   "\xc3\xa9",
				    "\n", "...", "",   "../", "canary", "tree", "\xff", "x/"};
static const char kinds[] = "0012345567LKgx\0S";

static void
add_name(struct script *script, char *name, size_t size)
{
	unsigned count = script_byte(script) % 6;

	*name = '\0';
	for (unsigned i = 0; i < count; i++) {
		uint8_t byte = script_byte(script);
		size_t used = strlen(name);

		snprintf(name + used, size - used, "%s%s", parts[byte % 16],
			 byte & 0x40 ? "" : "/");
	}
}

static void
set_sum(uint8_t *header)
{
	unsigned sum = 0;

	memset(header + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += header[i];
	snprintf((char *)header + 148, 8, "%06o", sum);
}

static size_t
add_entry(struct script *script, uint8_t *at)
{
	uint8_t bits = script_byte(script);
	char name[100], link[100];
	size_t bytes = bits & 0x80 ? script_byte(script) : 0;

	memset(at, 0, (size_t)2 * BLOCK);
	add_name(script, name, sizeof(name));
	add_name(script, link, sizeof(link));
	memcpy(at, name, strlen(name));
	memcpy(at + 157, link, strlen(link));
	snprintf((char *)at + 100, 8, "%07o", bits & 0x40 ? 04755u : 0755u);
	snprintf((char *)at + 124, 12, "%011zo", bytes);
	at[156] = (uint8_t)kinds[bits % 16];
	memcpy(at + 257,
	       bits & 0x20 ? "ustar\0"
			     "00"
			   : "ustar  ",
	       8);
	set_sum(at);
	return bytes ? (size_t)2 * BLOCK : BLOCK;
}

static size_t
make_tar(const uint8_t *data, size_t size, uint8_t *tar)
{
	struct script script = {data, size};
	size_t used = 0;

	for (int i = 0; i < ENTRIES && script.left; i++)
		used += add_entry(&script, tar + used);
	memset(tar + used, 0, (size_t)2 * BLOCK);
	return used + (size_t)2 * BLOCK;
}

/* ---- where it goes ---- */

static char base[64];
static int base_fd = -1;

static void
begin(void)
{
	const char *dir = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
	int fd;

	snprintf(base, sizeof(base), "%s/unpack-XXXXXX", dir);
	CHECK(mkdtemp(base));
	base_fd = open(base, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	CHECK(base_fd >= 0);
	CHECK(!mkdirat(base_fd, "tree", 0755));
	fd = openat(base_fd, "canary", O_WRONLY | O_CREAT | O_CLOEXEC, 0400);
	CHECK(fd >= 0 && write(fd, "sings", 5) == 5);
	close(fd);
}

/* The canary and the tree are all there is. */
static void
check_outside(void)
{
	DIR *dir = fdopendir(dup(base_fd));
	unsigned names = 0;
	struct stat info;
	char text[8];
	int fd = openat(base_fd, "canary", O_RDONLY | O_CLOEXEC);

	CHECK(fd >= 0 && read(fd, text, sizeof(text)) == 5 && !memcmp(text, "sings", 5));
	CHECK(!fstat(fd, &info) && info.st_nlink == 1 && (info.st_mode & 07777) == 0400);
	close(fd);
	CHECK(dir);
	while (readdir(dir))
		names++;
	closedir(dir);
	CHECK(names == 4);
}

static void
end(void)
{
	CHECK(store_remove_tree(AT_FDCWD, base));
	close(base_fd);
}

static void
unpack(const uint8_t *data, size_t size)
{
	int archive = memfd_create("archive", MFD_CLOEXEC), tree;
	struct unpacked unpacked;
	struct sums sums;
	struct reason why = {""};

	CHECK(archive >= 0 && write(archive, data, size) == (ssize_t)size);
	CHECK(!lseek(archive, 0, SEEK_SET));
	tree = openat(base_fd, "tree", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (unpack_archive(archive, tree, &limits, &unpacked, &why)) {
		CHECK(*why.text);
	} else {
		CHECK(unpacked.entries <= ENTRIES && unpacked.bytes <= LIMIT);
		/* What was taken is what may be there. */
		CHECK(!sums_tree(tree, "", &sums, &why));
		free(sums.text);
	}
	close(tree);
	close(archive);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t tar[TAR_SIZE];

	if (!size)
		return 0;
	begin();
	if (*data % 2 == AS_IT_IS)
		unpack(data + 1, size - 1);
	else
		unpack(tar, make_tar(data + 1, size - 1, tar));
	check_outside();
	end();
	return 0;
}

/* ---- seeds ---- */

static void
write_entry(struct archive *archive, const char *name, mode_t type, const char *text)
{
	struct archive_entry *entry = archive_entry_new();

	CHECK(entry);
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, 0755);
	if (type == AE_IFLNK)
		archive_entry_set_symlink(entry, text);
	else
		archive_entry_set_size(entry, (la_int64_t)strlen(text));
	CHECK(archive_write_header(archive, entry) >= ARCHIVE_WARN);
	if (type == AE_IFREG)
		CHECK(archive_write_data(archive, text, strlen(text)) == (la_ssize_t)strlen(text));
	archive_entry_free(entry);
}

static size_t
write_archive(int format, int filter, uint8_t *buf, size_t capacity)
{
	struct archive *archive = archive_write_new();
	size_t used = 0;

	CHECK(archive);
	CHECK(archive_write_set_format(archive, format) == ARCHIVE_OK);
	CHECK(archive_write_add_filter(archive, filter) == ARCHIVE_OK);
	archive_write_set_bytes_per_block(archive, 0);
	CHECK(archive_write_open_memory(archive, buf + 1, capacity - 1, &used) == ARCHIVE_OK);
	write_entry(archive, "p", AE_IFDIR, "");
	write_entry(archive, "p/plugin.yaml", AE_IFREG, "plugin: p\nversion: 1.0.0\n");
	write_entry(archive, "p/link", AE_IFLNK, "plugin.yaml");
	write_entry(archive, "p/d/e", AE_IFREG, "");
	archive_write_close(archive);
	archive_write_free(archive);
	*buf = AS_IT_IS;
	return used + 1;
}

static const struct {
	int format, filter;
} archives[] = {
	{ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_NONE},
	{ARCHIVE_FORMAT_TAR_PAX_RESTRICTED, ARCHIVE_FILTER_NONE},
	{ARCHIVE_FORMAT_TAR_GNUTAR, ARCHIVE_FILTER_GZIP},
	{ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_ZSTD},
	{ARCHIVE_FORMAT_TAR_USTAR, ARCHIVE_FILTER_XZ},
	{ARCHIVE_FORMAT_ZIP, ARCHIVE_FILTER_NONE},
};

/* Kind, a size where 0x80 is set, then a name and a link: a count of parts, and each. */
static const uint8_t scripts[][48] = {
	{SCRIPT, 0x00, 1, 0x40, 0, 0x86, 5, 2, 0, 0x41, 0},          /* a; d/… */
	{SCRIPT, 0x04, 1, 0x45, 2, 2, 0x4c, 0x80, 3, 2, 5, 0x40, 0}, /* l -> ../canary; l/a */
	{SCRIPT, 0x03, 1, 0x40, 2, 2, 0x4c, 0x80, 9, 1, 0x40, 0},    /* a = ../canary; a */
	{SCRIPT, 0x07, 1, 0x45, 0, 0x04, 2, 5, 0x40, 1, 0x41, 0},    /* folder l; l/a -> b */
	{SCRIPT, 0x80, 4, 3, 2, 2, 0x4c, 0, 0x05, 1, 0x41, 0},       /* ../../canary; a device */
	{SCRIPT, 0x80, 4, 2, 0x44, 0x4c, 0, 0x80, 4, 1, 0x40, 0, 0x80, 4, 1, 0x40, 0},
};

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	size_t count = sizeof(archives) / sizeof(archives[0]);

	if (number < count)
		return write_archive(archives[number].format, archives[number].filter, buf,
				     capacity);
	number -= (unsigned)count;
	if (number >= sizeof(scripts) / sizeof(scripts[0]))
		return 0;
	memcpy(buf, scripts[number], sizeof(scripts[number]));
	return sizeof(scripts[number]);
}
