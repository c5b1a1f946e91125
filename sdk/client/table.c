#include <stdlib.h>

#include "internal.h"

#define FIRST_BUCKETS 16 /* a power of two */

/* Ids are given out in order, so their low bits spread them evenly. */
static struct plugc_bucket *
bucket_of(struct plug_client *client, uint64_t id)
{
	return &client->buckets[id & (client->bucket_count - 1)];
}

plug_err
plugc_table_init(struct plug_client *client)
{
	client->buckets = calloc(FIRST_BUCKETS, sizeof(*client->buckets));
	if (!client->buckets)
		return PLUG_ENOMEM;
	client->bucket_count = FIRST_BUCKETS;
	return PLUG_OK;
}

void
plugc_table_fini(struct plug_client *client)
{
	free(client->buckets);
	client->buckets = NULL;
}

struct plugc_call *
plugc_table_find(struct plug_client *client, uint64_t id)
{
	struct plugc_call *call;

	LIST_FOREACH (call, bucket_of(client, id), bucket)
		if (call->id == id)
			return call;
	return NULL;
}

/* Longer chains are slower, not wrong: without memory the table stays as it is. */
static void
grow(struct plug_client *client)
{
	size_t old_count = client->bucket_count;
	struct plugc_bucket *old = client->buckets;
	struct plugc_bucket *wider = calloc(2 * old_count, sizeof(*wider));
	struct plugc_call *call;

	if (!wider)
		return;
	client->buckets = wider;
	client->bucket_count = 2 * old_count;
	for (size_t i = 0; i < old_count; i++) {
		while ((call = LIST_FIRST(&old[i]))) {
			LIST_REMOVE(call, bucket);
			LIST_INSERT_HEAD(bucket_of(client, call->id), call, bucket);
		}
	}
	free(old);
}

void
plugc_table_add(struct plug_client *client, struct plugc_call *call)
{
	if (client->call_count >= 2 * client->bucket_count)
		grow(client);
	LIST_INSERT_HEAD(bucket_of(client, call->id), call, bucket);
	client->call_count++;
}

void
plugc_table_remove(struct plug_client *client, struct plugc_call *call)
{
	LIST_REMOVE(call, bucket);
	client->call_count--;
}

void
plugc_table_each(struct plug_client *client, void (*fn)(struct plugc_call *, void *), void *arg)
{
	struct plugc_call *call, *next;

	for (size_t i = 0; i < client->bucket_count; i++) {
		for (call = LIST_FIRST(&client->buckets[i]); call; call = next) {
			next = LIST_NEXT(call, bucket);
			fn(call, arg);
		}
	}
}
