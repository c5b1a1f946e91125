#include "install/fetch.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sodium.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "core/text.h"
#include "os/statedir.h"
#include "store/layout.h"

#define BLOCK_BYTES ((size_t)64 * 1024)

/* ---- the copy ---- */

/* Not every file system has O_TMPFILE; a name that is left is swept. */
static int
nameless_file(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	char name[32];

	if (fd >= 0 || store_stage_name(name))
		return fd;
	fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd >= 0)
		unlinkat(dir_fd, name, 0);
	return fd;
}

static plug_err
put(int fd, const unsigned char *data, size_t size, struct reason *why)
{
	while (size) {
		ssize_t written = write(fd, data, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return reason_set(why, PLUG_ESYS, "the archive cannot be copied: %s",
					  strerrordesc_np(errno));
		data += written;
		size -= (size_t)written;
	}
	return PLUG_OK;
}

static plug_err
copy(int from, uint64_t max_bytes, struct fetched *fetched, unsigned char *block,
     struct reason *why)
{
	crypto_generichash_state blake2b;
	crypto_hash_sha256_state sha256;
	plug_err err = PLUG_OK;

	crypto_hash_sha256_init(&sha256);
	crypto_generichash_init(&blake2b, NULL, 0, MINISIGN_HASH_BYTES);
	while (!err) {
		ssize_t got = read(from, block, BLOCK_BYTES);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return reason_set(why, PLUG_ESYS, "cannot be read: %s",
					  strerrordesc_np(errno));
		if (!got)
			break;
		fetched->size += (uint64_t)got;
		if (fetched->size > max_bytes)
			return reason_set(why, PLUG_ETOOLARGE,
					  "an archive of more than %llu MiB, the limit; raise it "
					  "with --max-size",
					  (unsigned long long)(max_bytes >> 20));
		crypto_hash_sha256_update(&sha256, block, (unsigned long long)got);
		crypto_generichash_update(&blake2b, block, (unsigned long long)got);
		err = put(fetched->fd, block, (size_t)got, why);
	}
	crypto_hash_sha256_final(&sha256, fetched->sha256);
	crypto_generichash_final(&blake2b, fetched->blake2b, MINISIGN_HASH_BYTES);
	return err;
}

plug_err
fetch_archive(int archive_fd, int dir_fd, uint64_t max_bytes, struct fetched *ret,
	      struct reason *why)
{
	AUTO_FREE unsigned char *block = malloc(BLOCK_BYTES);
	AUTO_CLOSE int fd = nameless_file(dir_fd);
	struct fetched made = {.fd = fd};
	plug_err err;

	if (!block || fd < 0)
		return reason_set(why, PLUG_ESYS, "no file can be made in the store: %s",
				  strerrordesc_np(errno));
	err = copy(archive_fd, max_bytes, &made, block, why);
	if (err)
		return err;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return reason_set(why, PLUG_ESYS, "%s", strerrordesc_np(errno));
	steal_fd(&fd);
	*ret = made;
	return PLUG_OK;
}

/* ---- the signature ---- */

static plug_err
read_small(const char *path, char **ret, size_t *ret_size, struct reason *why)
{
	plug_err err = statedir_read(AT_FDCWD, path, MINISIGN_TEXT_BYTES, ret, ret_size);

	if (!err || err == PLUG_ENOTFOUND)
		return err;
	return reason_set(why, err == PLUG_ESYS ? err : PLUG_EINVAL,
			  "%.200s: %s; expected a small text file", path,
			  err == PLUG_ESYS ? strerrordesc_np(errno) : plug_err_text(err));
}

/* PLUG_ENOTFOUND: there is none beside the archive, and none was asked for. */
static plug_err
read_signature(const struct fetch_policy *policy, struct minisign_signature *ret,
	       struct reason *why)
{
	char path[PATH_MAX];
	AUTO_FREE char *text = NULL;
	size_t size;
	plug_err err;

	if (policy->signature)
		snprintf(path, sizeof(path), "%s", policy->signature);
	else
		snprintf(path, sizeof(path), "%s.minisig", policy->archive);
	err = read_small(path, &text, &size, why);
	if (err == PLUG_ENOTFOUND && policy->signature)
		return reason_set(why, PLUG_EINVAL, "%.200s: there is no such file", path);
	if (err)
		return err;
	return minisign_parse_signature(text, size, ret, why);
}

static plug_err
read_key(const char *given, struct minisign_key *ret, struct reason *why)
{
	AUTO_FREE char *text = NULL;
	size_t size;
	plug_err err = read_small(given, &text, &size, why);

	if (err == PLUG_ENOTFOUND)
		return minisign_parse_key(given, strlen(given), ret, why);
	return err ? err : minisign_parse_key(text, size, ret, why);
}

plug_err
fetch_read(struct fetch_policy *policy, struct reason *why)
{
	plug_err err = PLUG_OK;

	if (policy->ignored)
		return PLUG_OK;
	if (policy->key)
		err = read_key(policy->key, &policy->the_key, why);
	policy->has_key = policy->key && !err;
	if (err)
		return err;
	err = read_signature(policy, &policy->its_signature, why);
	policy->has_signature = !err;
	return err == PLUG_ENOTFOUND ? PLUG_OK : err;
}

/* The bytes are needed for signatures of the older kind only.  Nobody else can change the copy. */
static plug_err
verify(const struct fetched *fetched, const struct minisign_signature *signature,
       const struct minisign_key *key, struct reason *why)
{
	struct minisign_message message = {.hash = fetched->blake2b, .size = fetched->size};
	void *map = MAP_FAILED;
	plug_err err;

	if (!signature->prehashed && fetched->size) {
		map = mmap(NULL, fetched->size, PROT_READ, MAP_PRIVATE, fetched->fd, 0);
		if (map == MAP_FAILED)
			return reason_set(why, PLUG_ESYS, "%s", strerrordesc_np(errno));
		message.bytes = map;
	}
	err = minisign_verify(signature, key, &message, why);
	if (map != MAP_FAILED)
		munmap(map, fetched->size);
	return err;
}

static plug_err
choose_key(const struct fetch_policy *policy, struct minisign_key *ret, struct reason *why)
{
	const struct minisign_signature *signature = &policy->its_signature;
	struct store_keys keys = {0};
	const struct minisign_key *found;
	char id[MINISIGN_ID_BYTES];
	plug_err err;

	*ret = policy->the_key;
	if (policy->has_key && !policy->required)
		return PLUG_OK;
	err = store_keys_read(policy->keys_dir, &keys, why);
	if (err)
		return err;
	minisign_id_text(signature->id, id);
	found = store_keys_find(&keys, signature->id);
	if (!found)
		err = reason_set(why, PLUG_EDENIED,
				 "signed by key %s, which is not among the %zu trusted ones in "
				 "%.120s; put its .pub file there%s%s%s",
				 id, keys.count, policy->keys_dir,
				 policy->required ? "" : ", name it with --key, or --no-signature",
				 *keys.trouble ? "; left out: " : "", keys.trouble);
	else if (!policy->has_key)
		*ret = *found;
	else if (memcmp(found, ret, sizeof(*ret)))
		err = reason_set(why, PLUG_EDENIED,
				 "the key that was given is not the trusted one with the id %s",
				 id);
	store_keys_fini(&keys);
	return err;
}

static void
take_comment(const struct minisign_signature *signature, struct fetched_signer *signer)
{
	snprintf(signer->comment, sizeof(signer->comment), "%s", signature->comment);
	if (text_is_clean(signer->comment, strlen(signer->comment)))
		for (char *at = signer->comment; (at = strpbrk(at, "\t\n"));)
			*at = ' ';
	else
		*signer->comment = '\0'; /* signed, but nothing to show */
}

plug_err
fetch_check_signature(const struct fetched *fetched, const struct fetch_policy *policy,
		      struct fetched_signer *ret, struct reason *why)
{
	struct fetched_signer signer = {""};
	struct minisign_key key;
	plug_err err;

	if (!policy->has_signature) {
		if (policy->required || policy->key)
			return reason_set(why, PLUG_EDENIED,
					  "is not signed; expected %.160s.minisig beside it, by %s",
					  policy->archive,
					  policy->key ? "the key that was given"
						      : "a trusted key (store.require_signature)");
		*ret = signer;
		return PLUG_OK;
	}
	err = choose_key(policy, &key, why);
	if (!err)
		err = verify(fetched, &policy->its_signature, &key, why);
	if (err)
		return err;
	minisign_id_text(policy->its_signature.id, signer.id);
	take_comment(&policy->its_signature, &signer);
	*ret = signer;
	return PLUG_OK;
}
