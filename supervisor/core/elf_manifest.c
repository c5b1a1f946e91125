/*
 * Invariants
 *  - Nothing is read outside the file's size, and no length of the file's is used before it was
 *    held against that.
 *  - At most SECTIONS headers are looked at, in pieces of BATCH: a file costs bounded time.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/embedded.h"

#define SECTIONS   4096u
#define BATCH      64u
#define HEADER_MAX sizeof(Elf64_Ehdr)
#define NAME_BYTES sizeof(EMBEDDED_SECTION)

struct elf {
	const struct embedded_file *file;
	char *why;
	bool wide, big; /* 64 bits; most significant byte first */
	uint64_t table; /* of the section headers */
	uint64_t count;
	uint64_t names, names_size; /* the string table of their names */
};

struct section {
	uint64_t name, type, flags, offset, size, link;
};

static uint64_t
number(const struct elf *elf, const uint8_t *at, size_t bytes)
{
	uint64_t value = 0;

	for (size_t i = 0; i < bytes; i++)
		value |= (uint64_t)at[i] << 8 * (elf->big ? bytes - 1 - i : i);
	return value;
}

/* The same member of either class. */
#define MEMBER(elf, bytes, type, member)                                     \
	((elf)->wide ? number(elf, (bytes) + offsetof(Elf64_##type, member), \
			      sizeof(((Elf64_##type *)0)->member))           \
		     : number(elf, (bytes) + offsetof(Elf32_##type, member), \
			      sizeof(((Elf32_##type *)0)->member)))

static plug_err
damaged(const struct elf *elf, const char *what)
{
	snprintf(elf->why, EMBEDDED_WHY_BYTES,
		 "a damaged ELF file: %s; if it is being written, it is looked at again when it "
		 "changes, else build or copy it again",
		 what);
	return PLUG_EINVAL;
}

static bool
is_inside(const struct elf *elf, uint64_t offset, uint64_t bytes)
{
	return offset <= elf->file->size && bytes <= elf->file->size - offset;
}

static plug_err
fetch(const struct elf *elf, uint64_t offset, void *buffer, size_t bytes)
{
	return elf->file->read(elf->file->context, offset, buffer, bytes) ? PLUG_OK : PLUG_ESYS;
}

static size_t
section_bytes(const struct elf *elf)
{
	return elf->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
}

static struct section
decode(const struct elf *elf, const uint8_t *at)
{
	return (struct section){
		.name = MEMBER(elf, at, Shdr, sh_name),
		.type = MEMBER(elf, at, Shdr, sh_type),
		.flags = MEMBER(elf, at, Shdr, sh_flags),
		.offset = MEMBER(elf, at, Shdr, sh_offset),
		.size = MEMBER(elf, at, Shdr, sh_size),
		.link = MEMBER(elf, at, Shdr, sh_link),
	};
}

static plug_err
section_at(const struct elf *elf, uint64_t index, struct section *ret)
{
	uint8_t bytes[sizeof(Elf64_Shdr)];
	uint64_t offset;
	plug_err err;

	/* The index is at most 32 bits and a header 64 bytes: the product cannot overflow. */
	if (__builtin_add_overflow(elf->table, index * section_bytes(elf), &offset) ||
	    !is_inside(elf, offset, section_bytes(elf)))
		return damaged(elf, "its section headers are not inside it");
	err = fetch(elf, offset, bytes, section_bytes(elf));
	if (!err)
		*ret = decode(elf, bytes);
	return err;
}

/* ---- headers ---- */

static plug_err
read_ident(struct elf *elf, uint8_t header[HEADER_MAX])
{
	size_t bytes;
	plug_err err;

	if (elf->file->size < EI_NIDENT)
		return damaged(elf, "it ends within its first bytes");
	err = fetch(elf, 0, header, EI_NIDENT);
	if (err)
		return err;
	if (memcmp(header, ELFMAG, SELFMAG))
		return PLUG_ENOTFOUND;
	if (header[EI_CLASS] != ELFCLASS32 && header[EI_CLASS] != ELFCLASS64)
		return damaged(elf, "its class is neither 32 nor 64 bits");
	if (header[EI_DATA] != ELFDATA2LSB && header[EI_DATA] != ELFDATA2MSB)
		return damaged(elf, "its byte order is unknown");
	elf->wide = header[EI_CLASS] == ELFCLASS64;
	elf->big = header[EI_DATA] == ELFDATA2MSB;
	bytes = elf->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
	if (elf->file->size < bytes)
		return damaged(elf, "it ends within its header");
	return fetch(elf, 0, header, bytes);
}

/* Numbers too large for the header are in the first section header. */
static plug_err
settle_counts(struct elf *elf, uint64_t *names_index)
{
	struct section first;
	plug_err err;

	if (elf->count && *names_index != SHN_XINDEX)
		return PLUG_OK;
	err = section_at(elf, 0, &first);
	if (err)
		return err;
	if (!elf->count)
		elf->count = first.size;
	if (*names_index == SHN_XINDEX)
		*names_index = first.link;
	return PLUG_OK;
}

static plug_err
read_header(struct elf *elf)
{
	uint8_t header[HEADER_MAX];
	struct section names;
	uint64_t type, index;
	plug_err err = read_ident(elf, header);

	if (err)
		return err;
	type = MEMBER(elf, header, Ehdr, e_type);
	elf->table = MEMBER(elf, header, Ehdr, e_shoff);
	elf->count = MEMBER(elf, header, Ehdr, e_shnum);
	index = MEMBER(elf, header, Ehdr, e_shstrndx);
	if ((type != ET_EXEC && type != ET_DYN) || !elf->table)
		return PLUG_ENOTFOUND; /* no program, or one without sections */
	if (MEMBER(elf, header, Ehdr, e_shentsize) != section_bytes(elf))
		return damaged(elf, "its section headers have another size than they should");
	err = settle_counts(elf, &index);
	if (err)
		return err;
	if (index == SHN_UNDEF || !elf->count)
		return PLUG_ENOTFOUND; /* its sections have no names */
	if (elf->count > SECTIONS || index >= elf->count)
		return damaged(elf, "more sections than a program has, or none with their names");
	if (!is_inside(elf, elf->table, elf->count * section_bytes(elf)))
		return damaged(elf, "its section headers are not inside it, as if it were cut off");
	err = section_at(elf, index, &names);
	if (err)
		return err;
	if (names.type != SHT_STRTAB || !is_inside(elf, names.offset, names.size))
		return damaged(elf, "the names of its sections are not inside it");
	elf->names = names.offset;
	elf->names_size = names.size;
	return PLUG_OK;
}

/* ---- the section ---- */

static plug_err
is_manifest(const struct elf *elf, const struct section *section, bool *ret)
{
	char name[NAME_BYTES];
	plug_err err;

	*ret = false;
	if (section->type != SHT_PROGBITS || section->name >= elf->names_size ||
	    elf->names_size - section->name < NAME_BYTES)
		return PLUG_OK;
	err = fetch(elf, elf->names + section->name, name, NAME_BYTES);
	*ret = !err && !memcmp(name, EMBEDDED_SECTION, NAME_BYTES);
	return err;
}

/* PLUG_ENOTFOUND: there is none. */
static plug_err
find_section(const struct elf *elf, struct section *ret)
{
	uint8_t headers[BATCH * sizeof(Elf64_Shdr)];
	size_t bytes = section_bytes(elf), found = 0;
	plug_err err = PLUG_OK;

	for (uint64_t first = 0; first < elf->count && !err; first += BATCH) {
		size_t count = elf->count - first < BATCH ? elf->count - first : BATCH;

		err = fetch(elf, elf->table + first * bytes, headers, count * bytes);
		for (size_t i = 0; i < count && !err; i++) {
			struct section section = decode(elf, headers + i * bytes);
			bool is = false;

			err = is_manifest(elf, &section, &is);
			if (is)
				*ret = section;
			found += is;
		}
	}
	if (err || found == 1)
		return err;
	if (!found)
		return PLUG_ENOTFOUND;
	snprintf(elf->why, EMBEDDED_WHY_BYTES,
		 "%zu sections " EMBEDDED_SECTION "; expected one: PLUG_MANIFEST() once", found);
	return PLUG_EINVAL;
}

static plug_err
take_text(const struct elf *elf, const struct section *section, char **ret_text, size_t *ret_size)
{
	size_t size = (size_t)section->size;
	char *text;
	plug_err err;

	if (section->flags & SHF_COMPRESSED)
		return damaged(elf, "the section " EMBEDDED_SECTION " is compressed");
	if (!is_inside(elf, section->offset, section->size))
		return damaged(elf, "the section " EMBEDDED_SECTION " is not inside it");
	if (section->size > EMBEDDED_BYTES) {
		snprintf(elf->why, EMBEDDED_WHY_BYTES,
			 "the section " EMBEDDED_SECTION
			 " has %llu bytes, more than the %u KiB that a manifest may have",
			 (unsigned long long)section->size, EMBEDDED_BYTES / 1024);
		return PLUG_ETOOLARGE;
	}
	text = malloc(size + 1);
	if (!text)
		return PLUG_ENOMEM;
	err = fetch(elf, section->offset, text, size);
	while (!err && size && !text[size - 1])
		size--;
	if (!err && memchr(text, 0, size)) {
		snprintf(elf->why, EMBEDDED_WHY_BYTES,
			 "the section " EMBEDDED_SECTION
			 " has a NUL inside; expected one text: PLUG_MANIFEST() once in a program");
		err = PLUG_EINVAL;
	}
	if (err) {
		free(text);
		return err;
	}
	text[size] = '\0';
	*ret_text = text;
	*ret_size = size;
	return PLUG_OK;
}

plug_err
elf_manifest(const struct embedded_file *file, char **ret_text, size_t *ret_size,
	     char why[EMBEDDED_WHY_BYTES])
{
	struct elf elf = {.file = file, .why = why};
	struct section section;
	plug_err err = read_header(&elf);

	if (!err)
		err = find_section(&elf, &section);
	return err ? err : take_text(&elf, &section, ret_text, ret_size);
}
