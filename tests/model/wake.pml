/*
 * Two sides of a channel that post, take, sleep and wake (sdk/shared/ring.c), each possibly dying
 * at any step.  Side 0 calls, side 1 answers every call; both rings are small enough to be full.
 *
 * Stores go through a store buffer, as on x86: a plain store reaches memory some time later, in
 * order; an exchange waits until the buffer is empty.  Loads see memory.  (No side loads a word
 * that it stores itself, so forwarding does not matter.)
 *
 * What is checked: there is no state in which nobody can go on unless both sides have ended
 * (spin's invalid end states), which is to say: no wake-up is lost, and the death of one side is
 * noticed by the other; there is no cycle, so that both do end (-DNP); and the assertions.
 *
 *   N          calls
 *   RING       words of a ring; a record takes one, and the word behind it must be free too
 *   CAP        wake bytes that the socket holds; another one is refused (EAGAIN)
 *   SPURIOUS   wake bytes that nobody needs, sent at any time to any side
 *   DEATH      0: none; 1: one side dies at any step, or none
 *   CLOSE      1: the plugin closes at any step (closed_at) and drops what it has not taken
 *   EDGE       1: the plugin waits edge-triggered, and empties the socket not when it is woken but
 *              before it sleeps the next time
 *   SPILL      answers that the plugin keeps when its ring is full; then it takes no more calls
 *   BUG_…      leaves out one part; then there must be an error
 */
#ifndef N
#define N 3
#endif
#ifndef RING
#define RING 2
#endif
#ifndef CAP
#define CAP 1
#endif
#ifndef SPURIOUS
#define SPURIOUS 1
#endif
#ifndef DEATH
#define DEATH 1
#endif
#ifndef CLOSE
#define CLOSE 1
#endif
#ifndef EDGE
#define EDGE 0
#endif

#ifndef SPILL
#define SPILL N
#endif

#define RECORDS 1
#define ROOM    2

#define OTHER(s) (1 - (s))

/* ---- memory: what each side's region says ---- */

byte header[2 * RING]; /* of side s: s * RING and on; position + 1, or 0 */
byte taken[2];
byte sleeping[2];
byte closed_at; /* of side 1 */

#define AT_TAKEN    RING
#define AT_SLEEPING (RING + 1)
#define AT_CLOSED   (RING + 2)

chan buffer[2] = [3] of { byte, byte };

inline write(s, where, value)
{
	if
	:: where < RING -> header[s * RING + where] = value
	:: where == AT_TAKEN -> taken[s] = value
	:: where == AT_SLEEPING -> sleeping[s] = value
	:: where == AT_CLOSED -> closed_at = value
	fi
}

#define store(s, where, value) buffer[s]!where,value

inline exchange(s, where, value)
{
	atomic {
		empty(buffer[s]) -> write(s, where, value)
	}
}

proctype store_buffer(byte s)
{
	byte where, value;

end:	do
	:: atomic {
		buffer[s]?where,value ->
		write(s, where, value);
		where = 0;
		value = 0
	   }
	od
}

/* ---- the wake socket ---- */

chan wake[2] = [CAP] of { bit }; /* that side s receives */
bool gone[2];                    /* side s has closed its end */
bool edge[2];                    /* something came that epoll has not told yet */
bool killed[2];

inline send_wake(s) /* from side s: PLUG_WAKE_BYTE with MSG_DONTWAIT */
{
	atomic {
		if
		:: gone[OTHER(s)] || full(wake[OTHER(s)])
		:: !gone[OTHER(s)] && nfull(wake[OTHER(s)]) ->
			wake[OTHER(s)]!1;
			edge[OTHER(s)] = true
		fi
	}
}

inline close_end(s)
{
	atomic {
		gone[s] = true;
		edge[OTHER(s)] = true
	}
}

/* ---- one side ---- */

#define WANTS_TO_POST ((s == 0 && position < limit) || (s == 1 && owed > 0))
#define TAKES         (s == 0 || owed < SPILL) /* else it has more answers to give than it keeps */
#define HAS_ROOM      (RING - (position - seen) >= 2)

inline tell_sleeper(bit_) /* after an exchange: the look at the other side's `sleeping` */
{
	if
	:: sleeping[OTHER(s)] & bit_ -> send_wake(s)
	:: !(sleeping[OTHER(s)] & bit_)
	fi
}

/* The same after a post.  Who was woken for a record that it has not taken yet is not woken again. */
inline tell_taker()
{
	if
	:: sleeping[OTHER(s)] & RECORDS ->
		if
#ifdef BUG_WOKEN_ONCE
		:: woken_for == 0 ->
#else
		:: taken[OTHER(s)] >= woken_for ->
#endif
			woken_for = position;
			send_wake(s)
#ifdef BUG_WOKEN_ONCE
		:: woken_for != 0
#else
		:: taken[OTHER(s)] < woken_for
#endif
		fi
	:: !(sleeping[OTHER(s)] & RECORDS)
	fi
}

/* Each atomic step has at most one access to memory that the other side can see. */
proctype side(byte s)
{
	byte position, seen;      /* poster: own next header; what the other side had taken */
	byte woken_for;           /* … the position behind the record that it was last woken for */
	byte next, told;          /* taker: next header to take; what *taken says */
	byte owed;                /* side 1: calls taken and not answered */
	byte answered, limit = N; /* side 0: replies taken; calls that will be answered */
	bool woken;               /* an edge was told since the wake socket was emptied */
	bool eof, found, shut;

	{
		skip;

		/* plugs_peek, plugs_taken */
again:		atomic {
			found = false;
			if
			:: TAKES && header[OTHER(s) * RING + next % RING] != 0 ->
				/* else an honest peer would be cut off for breaking the rules */
				assert(header[OTHER(s) * RING + next % RING] == next + 1);
				next++;
				if
				:: s == 0 -> answered++
				:: s == 1 && !shut -> owed++
				:: s == 1 && shut
				fi;
				found = true;
				store(s, AT_TAKEN, next)
			:: !(TAKES && header[OTHER(s) * RING + next % RING] != 0)
			fi
		};

		/* plugs_reserve, plugs_post */
		if
		:: WANTS_TO_POST ->
			if
			:: !HAS_ROOM -> seen = taken[OTHER(s)]
			:: HAS_ROOM
			fi;
			if
			:: HAS_ROOM ->
#ifndef BUG_NO_ZERO
				store(s, (position + 1) % RING, 0);
#endif
				atomic {
#ifdef BUG_PLAIN_POST
					store(s, position % RING, position + 1);
#else
					exchange(s, position % RING, position + 1);
#endif
					position++;
					found = true;
					if
					:: s == 1 -> owed--
					:: s == 0
					fi
				};
				tell_taker()
			:: !HAS_ROOM
			fi
		:: !WANTS_TO_POST
		fi;

		/* DRAIN: the calls that were not taken never will be */
		if
		:: CLOSE && s == 1 && !shut ->
			atomic {
				shut = true;
				found = true;
#ifdef BUG_PLAIN_CLOSE
				store(s, AT_CLOSED, next + 1)
#else
				exchange(s, AT_CLOSED, next + 1)
#endif
			};
			tell_sleeper(RECORDS)
		:: true
		fi;

		if
		:: found -> goto again
		:: !found
		fi;

		/* plugs_tell_taken */
		if
		:: told != next ->
			atomic {
				told = next;
#ifndef BUG_PLAIN_TELL
				exchange(s, AT_TAKEN, next)
#endif
			};
			tell_sleeper(ROOM)
		:: told == next
		fi;

		if
		:: s == 0 && answered == limit -> goto done
		:: eof -> /* what came with the end is taken first */
			if
			:: TAKES && header[OTHER(s) * RING + next % RING] != 0 -> goto again
			:: !(TAKES && header[OTHER(s) * RING + next % RING] != 0) -> goto done
			fi
		:: !eof && !(s == 0 && answered == limit)
		fi;

		/* plugs_drain, edge-triggered */
		if
		:: EDGE && s == 1 && woken ->
#ifndef BUG_EDGE_NOT_DRAINED
			do
			:: nempty(wake[s]) -> wake[s]?_
			:: atomic { empty(wake[s]) -> eof = gone[OTHER(s)] }; break
			od;
#endif
			woken = false;
			if
			:: eof -> goto again
			:: !eof
			fi
		:: !(EDGE && s == 1 && woken)
		fi;

		/* plugs_sleep_begin and the second look */
#ifdef BUG_ROOM_LOOK_EARLY
		seen = taken[OTHER(s)];
#endif
#ifdef BUG_PLAIN_SLEEP
		store(s, AT_SLEEPING, (WANTS_TO_POST -> RECORDS | ROOM : RECORDS));
#else
		exchange(s, AT_SLEEPING, (WANTS_TO_POST -> RECORDS | ROOM : RECORDS));
#endif
#ifndef BUG_NO_SECOND_LOOK
		if
		:: TAKES && header[OTHER(s) * RING + next % RING] != 0 -> goto awake
		:: !(TAKES && header[OTHER(s) * RING + next % RING] != 0)
		fi;
		if
		:: WANTS_TO_POST ->
			atomic {
#ifndef BUG_ROOM_LOOK_EARLY
				seen = taken[OTHER(s)];
#endif
				if
				:: HAS_ROOM -> goto awake
				:: !HAS_ROOM
				fi
			}
		:: !WANTS_TO_POST
		fi;
#endif
		if
		:: s == 0 && limit == N && closed_at != 0 && closed_at <= N ->
			limit = closed_at - 1; /* what was not taken is sent elsewhere */
			goto awake
		:: !(s == 0 && limit == N && closed_at != 0 && closed_at <= N)
		fi;
#ifdef BUG_DRAIN_AFTER_LOOK
		do
		:: nempty(wake[s]) -> wake[s]?_
		:: empty(wake[s]) -> break
		od;
#endif

		/* wait, then plugs_drain */
		if
		:: EDGE && s == 1 ->
			atomic {
				edge[s] -> edge[s] = false;
				woken = true;
				eof = gone[OTHER(s)] /* EPOLLRDHUP */
			}
		:: !EDGE || s == 0 ->
			if /* one recv at least */
			:: nempty(wake[s]) -> wake[s]?_
			:: empty(wake[s]) && gone[OTHER(s)] -> eof = true
			fi;
			do /* and as many more as one likes */
			:: nempty(wake[s]) -> wake[s]?_
			:: break
			od
		fi;
awake:		store(s, AT_SLEEPING, 0);
		goto again;

done:		assert(s == 1 || killed[1] || answered == limit)
	} unless {
		killed[s]
	};
	close_end(s)
}

/* ---- the world ---- */

#if DEATH
proctype death()
{
	if
	:: killed[0] = true
	:: killed[1] = true
	:: true
	fi
}
#endif

#if SPURIOUS
proctype noise()
{
	byte left = SPURIOUS;

	do
	:: atomic { left > 0 && nfull(wake[0]) -> wake[0]!1; edge[0] = true; left-- }
	:: atomic { left > 0 && nfull(wake[1]) -> wake[1]!1; edge[1] = true; left-- }
	:: break
	od
}
#endif

init {
	atomic {
		run store_buffer(0);
		run store_buffer(1);
		run side(0);
		run side(1);
#if DEATH
		run death();
#endif
#if SPURIOUS
		run noise();
#endif
	}
}
