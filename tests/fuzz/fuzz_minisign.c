/* A key and a signature of somebody else's. */
#include <string.h>

#include "fuzz.h"
#include "store/minisign.h"

static const char key_text[] = "untrusted comment: minisign public key 8BA0882BAC705CA2\n"
			       "RWSiXHCsK4igizOsSkZuRpjyPG5beHt4wkylHxoWtyiChsfBRsDIPPrK\n";
static const char signature_text[] =
	"untrusted comment: signature from minisign secret key\n"
	"RUSiXHCsK4igi34mHD/7VT/KwdnED9Q5Pr5n+np/"
	"9NyL9yiKjMeBsrwYLQ0uJMspHm8K5Z+VprgJFtlI/g7MPU5eVoaY0EE3PwE=\n"
	"trusted comment: file of a test\n"
	"KxTLGroCsRdMwJy9u11i0urVKLBgG51Jg/"
	"S7c8kA9yT4iHDQ5t5g3KIULH+efvlozjRD/1OKOmsbB2Qs88imBg==\n";

static const unsigned char nothing[MINISIGN_HASH_BYTES];

static void
try_key(const char *text, size_t size)
{
	struct minisign_key key, untouched;
	struct reason why = {""};

	memset(&key, 0x5a, sizeof(key));
	untouched = key;
	if (minisign_parse_key(text, size, &key, &why)) {
		CHECK(!memcmp(&key, &untouched, sizeof(key)));
		CHECK(*why.text);
	}
}

/* No text is a signature by our key of a message that it never signed. */
static void
try_signature(const char *text, size_t size)
{
	struct minisign_message message = {nothing, nothing, sizeof(nothing)};
	struct minisign_signature signature;
	struct minisign_key ours;
	struct reason why = {""};

	CHECK(!minisign_parse_key(key_text, sizeof(key_text) - 1, &ours, NULL));
	if (minisign_parse_signature(text, size, &signature, &why)) {
		CHECK(*why.text);
		return;
	}
	CHECK(memchr(signature.comment, '\0', sizeof(signature.comment)));
	CHECK(minisign_verify(&signature, &ours, &message, &why) == PLUG_EDENIED);
	CHECK(*why.text);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	try_key((const char *)data, size);
	try_signature((const char *)data, size);
	return 0;
}

size_t
fuzz_seed(unsigned number, uint8_t *buf, size_t capacity)
{
	static const char *const seeds[] = {key_text, signature_text};

	if (number >= sizeof(seeds) / sizeof(seeds[0]))
		return 0;
	CHECK(strlen(seeds[number]) < capacity);
	memcpy(buf, seeds[number], strlen(seeds[number]));
	return strlen(seeds[number]);
}
