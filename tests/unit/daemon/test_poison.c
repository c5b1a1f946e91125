/* Requests that processes died of: the table, and the digest that names them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/poison.h"

static struct poison poison;

static int
setup(void **state)
{
	(void)state;
	poison_init(&poison);
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	poison_fini(&poison);
	return 0;
}

static struct poison_key
key(const char *plugin, uint8_t digest)
{
	struct poison_key one = {.method = "m", .uid = 5, .bytes = 3, .digest = {digest}};

	snprintf(one.plugin, sizeof(one.plugin), "%s", plugin);
	return one;
}

static enum poison_verdict
judge(struct poison_key one, uint64_t now)
{
	const struct poison_entry *entry = NULL;
	enum poison_verdict verdict = poison_judge(&poison, &one, now, &entry);

	assert_true((verdict == POISON_FREE) == !entry);
	return verdict;
}

static enum poison_state
accuse(struct poison_key one, uint32_t death, uint64_t now)
{
	bool confirmed = false;
	const struct poison_entry *entry = poison_accuse(&poison, &one, death, now, &confirmed);

	assert_non_null(entry);
	assert_true(!confirmed || (entry->state == POISON_CONFIRMED && entry->deaths == 2));
	return entry->state;
}

static void
test_two_deaths(void **state)
{
	struct poison_key one = key("p", 1);
	const struct poison_entry *entry;

	(void)state;
	assert_int_equal(judge(one, 0), POISON_FREE);
	assert_int_equal(accuse(one, 1, 10), POISON_SUSPECTED);
	assert_int_equal(judge(one, 20), POISON_ALONE);
	assert_int_equal(accuse(one, 1, 20), POISON_SUSPECTED); /* the same death */
	assert_int_equal(accuse(one, 2, 30), POISON_CONFIRMED);
	assert_int_equal(judge(one, 40), POISON_NO);
	assert_int_equal(judge(one, 30 + POISON_MS - 1), POISON_NO);
	entry = LIST_FIRST(&poison.entries, struct poison_entry, node);
	assert_int_equal(entry->state, POISON_REFUSED);
	assert_int_equal(entry->refusals, 2);
	assert_int_equal(entry->deaths, 2);
	assert_int_equal(judge(one, 30 + POISON_MS), POISON_FREE);
	assert_int_equal(entry->state, POISON_CLEARED);
	assert_int_equal(poison.live, 0);
	assert_int_equal(accuse(one, 9, 31 + POISON_MS), POISON_SUSPECTED); /* from the beginning */
	assert_int_equal(poison.count, 1);
}

static void
test_an_answer_between_them(void **state)
{
	struct poison_key one = key("p", 1);

	(void)state;
	accuse(one, 1, 0);
	poison_acquit(&poison, &one, 1);
	assert_int_equal(judge(one, 2), POISON_FREE);
	assert_int_equal(accuse(one, 2, 3), POISON_SUSPECTED);
	accuse(one, 3, 4);
	poison_acquit(&poison, &one, 5); /* too late: it was confirmed */
	assert_int_equal(judge(one, 6), POISON_NO);
}

static void
test_a_suspicion_ends(void **state)
{
	struct poison_key one = key("p", 1);

	(void)state;
	accuse(one, 1, 0);
	assert_int_equal(judge(one, POISON_MS), POISON_FREE);
	assert_int_equal(accuse(one, 2, POISON_MS + 1), POISON_SUSPECTED);
}

/* Whatever differs makes it another request. */
static void
test_whose_and_which(void **state)
{
	struct poison_key one = key("p", 1), others[5];

	(void)state;
	accuse(one, 1, 0);
	accuse(one, 2, 0);
	for (size_t i = 0; i < 5; i++)
		others[i] = one;
	others[0].uid = 6;
	others[1].bytes = 4;
	others[2].digest[31] = 1;
	strcpy(others[3].method, "n");
	strcpy(others[4].plugin, "q");
	for (size_t i = 0; i < 5; i++) {
		bool same_size = i == 2;

		assert_int_equal(judge(others[i], 1), POISON_FREE);
		assert_int_equal(poison_may_know(&poison, others[i].plugin, others[i].method,
						 others[i].uid, others[i].bytes),
				 same_size);
	}
	assert_true(poison_may_know(&poison, "p", "m", 5, 3));
	assert_int_equal(judge(one, 1), POISON_NO);
}

static void
test_an_operator(void **state)
{
	(void)state;
	for (uint32_t death = 1; death <= 2; death++) {
		accuse(key("p", 1), death, 0);
		accuse(key("p", 2), death, 0);
		accuse(key("q", 3), death, 0);
	}
	assert_int_equal(poison_clear(&poison, "p", 3), 0); /* that is q's */
	assert_int_equal(poison_clear(&poison, "p", 2), 1);
	assert_int_equal(judge(key("p", 2), 1), POISON_FREE);
	assert_int_equal(judge(key("p", 1), 1), POISON_NO);
	assert_int_equal(poison_clear(&poison, "p", 0), 1);
	assert_int_equal(judge(key("q", 3), 1), POISON_NO);
	assert_int_equal(poison_clear(&poison, NULL, 0), 1);
	assert_int_equal(poison_clear(&poison, NULL, 0), 0);
	assert_false(poison_may_know(&poison, "q", "m", 5, 3));
}

/* Whatever comes: it is bounded, what is refused stays as long as anything else can go, and the
 * counts are right. */
static void
test_it_is_bounded(void **state)
{
	uint32_t deaths = 0;

	(void)state;
	accuse(key("keep", 0), 1, 0);
	accuse(key("keep", 0), 2, 0);
	judge(key("keep", 0), 0);
	srand(1);
	for (int i = 0; i < 20000; i++) {
		struct poison_key one = key("p", (uint8_t)rand());
		size_t live = 0, count = 0;

		one.digest[1] = (uint8_t)(rand() % 4);
		switch (rand() % 8) {
		case 0:
			poison_acquit(&poison, &one, 1);
			break;
		case 2:
			poison_clear(&poison, "p", 1 + (uint64_t)(rand() % 1000));
			break;
		default:
			accuse(one, ++deaths, 1);
		}
		if (i % 64)
			continue;
		LIST_FOREACH (entry, &poison.entries, struct poison_entry, node) {
			live += entry->state != POISON_CLEARED;
			count++;
		}
		assert_int_equal(live, poison.live);
		assert_int_equal(count, poison.count);
		assert_true(count <= POISON_ENTRIES);
	}
	assert_int_equal(judge(key("keep", 0), 1), POISON_NO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_two_deaths),       TEST(test_an_answer_between_them),
		TEST(test_a_suspicion_ends), TEST(test_whose_and_which),
		TEST(test_an_operator),      TEST(test_it_is_bounded),
	};

	return cmocka_run_group_tests_name("poison", tests, NULL, NULL);
}
