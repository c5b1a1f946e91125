#include "symbols.h"

#include <elf.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct elf {
	const uint8_t *bytes;
	size_t size;
	const Elf64_Shdr *sections;
	size_t section_count;
};

/* A part of the file; NULL when it is not there whole, or not aligned. */
static const void *
part(const struct elf *elf, uint64_t offset, uint64_t size)
{
	if (offset > elf->size || size > elf->size - offset || offset % 8)
		return NULL;
	return elf->bytes + offset;
}

static bool
find_sections(struct elf *elf)
{
	const Elf64_Ehdr *head = part(elf, 0, sizeof(*head));

	if (!head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0 ||
	    head->e_ident[EI_CLASS] != ELFCLASS64 || head->e_shentsize != sizeof(Elf64_Shdr))
		return false;
	elf->section_count = head->e_shnum;
	elf->sections = part(elf, head->e_shoff, elf->section_count * sizeof(Elf64_Shdr));
	return elf->sections;
}

/* The name at `at` of a string section, if it ends there. */
static const char *
name_of(const struct elf *elf, const Elf64_Shdr *strings, uint32_t at)
{
	const char *name;

	if (strings->sh_offset > elf->size || strings->sh_size > elf->size - strings->sh_offset ||
	    at >= strings->sh_size)
		return NULL;
	name = (const char *)elf->bytes + strings->sh_offset + at;
	return *name && memchr(name, '\0', strings->sh_size - at) ? name : NULL;
}

static bool
find_in(const struct elf *elf, const Elf64_Shdr *table, uint64_t offset, char text[SYMBOL_BYTES])
{
	const Elf64_Sym *symbols = part(elf, table->sh_offset, table->sh_size);
	size_t count = table->sh_size / sizeof(*symbols);

	if (!symbols || table->sh_link >= elf->section_count)
		return false;
	for (size_t i = 0; i < count; i++) {
		const char *name;

		if (ELF64_ST_TYPE(symbols[i].st_info) != STT_FUNC || !symbols[i].st_shndx ||
		    offset < symbols[i].st_value ||
		    offset - symbols[i].st_value >= symbols[i].st_size)
			continue;
		name = name_of(elf, &elf->sections[table->sh_link], symbols[i].st_name);
		if (!name)
			continue;
		snprintf(text, SYMBOL_BYTES, "%.100s+0x%" PRIx64, name,
			 offset - symbols[i].st_value);
		return true;
	}
	return false;
}

static bool
find(const struct elf *elf, uint32_t type, uint64_t offset, char text[SYMBOL_BYTES])
{
	for (size_t i = 0; i < elf->section_count; i++)
		if (elf->sections[i].sh_type == type &&
		    find_in(elf, &elf->sections[i], offset, text))
			return true;
	return false;
}

static bool
is_as_it_was(int fd, uint64_t since_ms, size_t *ret_size)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size <= 0 ||
	    (uint64_t)st.st_ctim.tv_sec * 1000u + (uint64_t)st.st_ctim.tv_nsec / 1000000u >
		    since_ms)
		return false;
	*ret_size = (size_t)st.st_size;
	return true;
}

bool
symbols_find(const char *path, uint64_t offset, uint64_t since_ms, char text[SYMBOL_BYTES])
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	struct elf elf = {0};
	bool found = false;
	void *bytes;

	if (fd < 0)
		return false;
	if (is_as_it_was(fd, since_ms, &elf.size) &&
	    (bytes = mmap(NULL, elf.size, PROT_READ, MAP_PRIVATE, fd, 0)) != MAP_FAILED) {
		elf.bytes = bytes;
		found = find_sections(&elf) && (find(&elf, SHT_SYMTAB, offset, text) ||
						find(&elf, SHT_DYNSYM, offset, text));
		munmap(bytes, elf.size);
	}
	close(fd);
	return found;
}
