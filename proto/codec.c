#include "codec.h"

#include <stdlib.h>
#include <string.h>

#include "wire.h"

struct budget {
	size_t left;
	plug_err err; /* why memory was refused; else the message is to blame */
};

static void *
budget_alloc(void *data, size_t size)
{
	struct budget *budget = data;
	void *memory;

	if (size > budget->left) {
		budget->err = PLUG_ETOOLARGE;
		return NULL;
	}
	memory = malloc(size ? size : 1);
	if (!memory)
		budget->err = PLUG_ENOMEM;
	budget->left -= size;
	return memory;
}

static void
budget_free(void *data, void *pointer)
{
	(void)data;
	free(pointer);
}

static ProtobufCAllocator plain = {.alloc = NULL, .free = budget_free, .allocator_data = NULL};

plug_err
plug_envelope_unpack(const void *data, size_t size, Plug__Envelope **ret)
{
	struct budget budget = {.left = PLUG_UNPACK_BYTES, .err = PLUG_EPROTO};
	ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
	Plug__Envelope *env;

	if (size > PLUG_MESSAGE_BYTES)
		return PLUG_ETOOLARGE;
	env = plug__envelope__unpack(&allocator, size, data);
	if (!env)
		return budget.err;
	if (env->body_case == PLUG__ENVELOPE__BODY__NOT_SET) {
		plug_envelope_free(env);
		return PLUG_EPROTO;
	}
	*ret = env;
	return PLUG_OK;
}

void
plug_envelope_free(Plug__Envelope *env)
{
	if (env)
		plug__envelope__free_unpacked(env, &plain);
}

size_t
plug_envelope_size(const Plug__Envelope *env)
{
	return plug__envelope__get_packed_size(env);
}

plug_err
plug_envelope_pack(const Plug__Envelope *env, void *buf, size_t capacity, size_t *ret_size)
{
	size_t size = plug__envelope__get_packed_size(env);

	if (size > capacity || size > PLUG_MESSAGE_BYTES)
		return PLUG_ETOOLARGE;
	*ret_size = plug__envelope__pack(env, buf);
	return PLUG_OK;
}

plug_err
plug_command_call_unpack(const void *data, size_t size, Plug__CommandCall **ret)
{
	struct budget budget = {.left = size + PLUG_UNPACK_BYTES, .err = PLUG_EPROTO};
	ProtobufCAllocator allocator = {budget_alloc, budget_free, &budget};
	Plug__CommandCall *call = plug__command_call__unpack(&allocator, size, data);

	if (!call)
		return budget.err;
	*ret = call;
	return PLUG_OK;
}

void
plug_command_call_free(Plug__CommandCall *call)
{
	if (call)
		plug__command_call__free_unpacked(call, &plain);
}

int
plug_name_valid(const char *text)
{
	size_t i;

	for (i = 0; text[i]; i++) {
		char c = text[i];
		int alnum = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');

		if (i >= PLUG_NAME_BYTES || !(alnum || (i > 0 && (c == '-' || c == '_'))))
			return 0;
	}
	return i > 0;
}

void
plug_hex_encode(const uint8_t *bytes, size_t size, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < size; i++) {
		out[2 * i] = digits[bytes[i] >> 4];
		out[2 * i + 1] = digits[bytes[i] & 15];
	}
	out[2 * size] = '\0';
}

static int
hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return -1;
}

int
plug_hex_decode(const char *text, uint8_t *bytes, size_t size)
{
	if (strlen(text) != 2 * size)
		return -1;
	for (size_t i = 0; i < size; i++) {
		int high = hex_digit(text[2 * i]), low = hex_digit(text[2 * i + 1]);

		if (high < 0 || low < 0)
			return -1;
		bytes[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int
plug_secret_equal(const uint8_t *a, const uint8_t *b, size_t size)
{
	uint8_t diff = 0;

	for (size_t i = 0; i < size; i++)
		diff |= a[i] ^ b[i];
	return diff == 0;
}
