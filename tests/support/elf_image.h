/* Small ELF programs made in memory, for the tests and the fuzz target of elf_manifest(). */
#ifndef ELF_IMAGE_H
#define ELF_IMAGE_H

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "core/embedded.h"

#define ELF_IMAGE_NAMES "\0.shstrtab\0" EMBEDDED_SECTION "\0"

struct elf_image {
	bool wide, big; /* 64 bits; most significant byte first */
	unsigned type;  /* ET_DYN, … */
	const char *text;
	size_t size;
	unsigned copies; /* sections with the manifest */
};

static inline void
elf_image_put(const struct elf_image *image, uint8_t *at, uint64_t value, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		at[i] = (uint8_t)(value >> 8 * (image->big ? bytes - 1 - i : i));
}

#define ELF_IMAGE_PUT(image, at, type, member, value)                                       \
	((image)->wide ? elf_image_put(image, (at) + offsetof(Elf64_##type, member), value, \
				       sizeof(((Elf64_##type *)0)->member))                 \
		       : elf_image_put(image, (at) + offsetof(Elf32_##type, member), value, \
				       sizeof(((Elf32_##type *)0)->member)))

static inline void
elf_image_section(const struct elf_image *image, uint8_t *at, uint64_t name, uint64_t type,
		  uint64_t offset, uint64_t size)
{
	ELF_IMAGE_PUT(image, at, Shdr, sh_name, name);
	ELF_IMAGE_PUT(image, at, Shdr, sh_type, type);
	ELF_IMAGE_PUT(image, at, Shdr, sh_offset, offset);
	ELF_IMAGE_PUT(image, at, Shdr, sh_size, size);
}

/* Header, names, text, section headers (none, names, copies…).  Returns its size; 0: `capacity` is
 * too small. */
static inline size_t
elf_image_write(const struct elf_image *image, uint8_t *buffer, size_t capacity)
{
	static const char names[] = ELF_IMAGE_NAMES;
	size_t head = image->wide ? sizeof(Elf64_Ehdr) : sizeof(Elf32_Ehdr);
	size_t one = image->wide ? sizeof(Elf64_Shdr) : sizeof(Elf32_Shdr);
	size_t text = head + sizeof(names), table = text + image->size;
	size_t size = table + (2 + image->copies) * one;

	if (size > capacity)
		return 0;
	memset(buffer, 0, size);
	memcpy(buffer, ELFMAG, SELFMAG);
	buffer[EI_CLASS] = image->wide ? ELFCLASS64 : ELFCLASS32;
	buffer[EI_DATA] = image->big ? ELFDATA2MSB : ELFDATA2LSB;
	buffer[EI_VERSION] = EV_CURRENT;
	ELF_IMAGE_PUT(image, buffer, Ehdr, e_type, image->type);
	ELF_IMAGE_PUT(image, buffer, Ehdr, e_shoff, table);
	ELF_IMAGE_PUT(image, buffer, Ehdr, e_shentsize, one);
	ELF_IMAGE_PUT(image, buffer, Ehdr, e_shnum, 2 + image->copies);
	ELF_IMAGE_PUT(image, buffer, Ehdr, e_shstrndx, 1);
	memcpy(buffer + head, names, sizeof(names));
	memcpy(buffer + text, image->text, image->size);
	elf_image_section(image, buffer + table + one, 1, SHT_STRTAB, head, sizeof(names));
	for (unsigned i = 0; i < image->copies; i++)
		elf_image_section(image, buffer + table + (2 + i) * one, sizeof("\0.shstrtab"),
				  SHT_PROGBITS, text, image->size);
	return size;
}

/* ---- the image as a file ---- */

struct elf_image_bytes {
	const uint8_t *bytes;
	size_t size;
	size_t reads; /* counted */
};

/* What is read has to be inside: else nothing is read and the reads are counted as none. */
static inline bool
elf_image_read(void *context, uint64_t offset, void *buffer, size_t bytes)
{
	struct elf_image_bytes *image = context;

	if (offset > image->size || bytes > image->size - offset)
		__builtin_trap();
	if (bytes)
		memcpy(buffer, image->bytes + offset, bytes);
	image->reads++;
	return true;
}

#endif
