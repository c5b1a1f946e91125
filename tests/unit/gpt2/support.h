/* What the tests of the GPT-2 engine share. */
#ifndef GPT2_TEST_SUPPORT_H
#define GPT2_TEST_SUPPORT_H

/* clang-format off */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
/* clang-format on */

#include "model.h"
#include "tokenizer.h"

#include <jansson.h>

/* ThreadSanitizer does not see how the threads of OpenBLAS, built without it, wait for each other.
 */
#if defined(__SANITIZE_THREAD__)
#define UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define UNDER_TSAN 1
#endif
#endif
#ifndef UNDER_TSAN
#define UNDER_TSAN 0
#endif

/* Each of these fails the test when it cannot do what it says. */
struct model *load_model(const char *dir);
json_t *load_golden(const char *name); /* a JSON array */
struct token_list encode(const struct model *model, const char *text, size_t size);

/* The numbers of a JSON array of tokens; the caller releases them. */
struct token_list tokens_of(const json_t *array);
void assert_same_tokens(const char *label, const struct token_list *found, const json_t *expected);
void assert_same_text(const char *label, const char *found, size_t size, const json_t *expected);

/* cmocka group fixtures: *state is the shipped model. */
int setup_model(void **state);
int teardown_model(void **state);

/* SplitMix64, for tests that try many things and must be repeatable. */
uint64_t test_random(uint64_t *state);

#endif
