/*
 * Put before the source of the ring and of who uses it: a delay before and after every step that
 * the other side can see.  A macro is not expanded within itself, so what is called is the real
 * thing.
 */
#ifndef DELAYS_H
#define DELAYS_H

#include <sys/socket.h>

/* Mostly nothing, now and then a few nanoseconds up to some 100 µs; any thread. */
void delay(void);

#define __atomic_load_n(at, order)                                    \
	({                                                            \
		delay();                                              \
		__typeof__(*(at)) seen_ = __atomic_load_n(at, order); \
		delay();                                              \
		seen_;                                                \
	})
#define __atomic_store_n(at, value, order)          \
	do {                                        \
		delay();                            \
		__atomic_store_n(at, value, order); \
		delay();                            \
	} while (0)
#define __atomic_exchange_n(at, value, order)                                      \
	({                                                                         \
		delay();                                                           \
		__typeof__(*(at)) before_ = __atomic_exchange_n(at, value, order); \
		delay();                                                           \
		before_;                                                           \
	})
#define send(...)    (delay(), send(__VA_ARGS__))
#define recvmsg(...) (delay(), recvmsg(__VA_ARGS__))

#endif
