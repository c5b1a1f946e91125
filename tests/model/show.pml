/*
 * Arenas of tensors: what a record's number of an arena means to the side that reads it.
 *
 * The sender shows an arena by a message on the wake socket before the first record that names it,
 * and takes it back by another when it is closed and nothing of it is lent.  Records are read from
 * the ring, before or after what was sent on the socket ahead of them.  A place is used again when
 * nothing of its arena is lent; what is shown there next has another number.
 *
 * A record says, for the proof only, which arena it means.  Whoever reads it must find that one.
 *
 *   PLACES   that an arena can stand at
 *   ARENAS   that the sender has, one after the other or together
 *   CALLS    each with a tensor of one of them
 *   SOCKET   messages that the wake socket holds
 *   BUG_…    leaves out one rule; then there must be an error
 */
#ifndef PLACES
#define PLACES 2
#endif
#ifndef ARENAS
#define ARENAS 3
#endif
#ifndef CALLS
#define CALLS 4
#endif
#ifndef SOCKET
#define SOCKET 2
#endif

#define NONE 255

mtype = { SHOW, FORGET };

chan socket = [SOCKET] of { mtype, byte, byte }; /* number, arena */
chan ring = [CALLS] of { byte, byte };           /* number; the arena that is meant */
chan answers = [CALLS] of { byte };              /* number */

#define ROOM (len(socket) < SOCKET)
#define PLACE(number) (((number) - 1) % PLACES)

bool ended;

proctype sender()
{
	byte arena[PLACES], number[PLACES], in_use[PLACES];
	bool closed[ARENAS];
	byte called, answered;
	byte a, p, n, i;
#ifdef BUG_SHOWN_AFTERWARDS
	byte owed;
#endif

	atomic {
		for (p : 0 .. PLACES - 1) {
			arena[p] = NONE;
			number[p] = 0
		};
		p = 0
	};
	do
	/* a call with a tensor of an arena that is open */
	:: atomic {
		called < CALLS ->
		if
		:: a = 0
		:: a = 1
		:: a = 2
		fi;
		p = NONE;
		for (i : 0 .. PLACES - 1) {
			if
			:: arena[i] == a -> p = i
			:: else
			fi
		};
		i = 0;
		if
		:: closed[a] -> skip
		:: !closed[a] && p != NONE ->
			in_use[p]++;
			called++;
			ring!number[p],a
		:: !closed[a] && p == NONE ->
			if
#ifdef BUG_PLACE_OF_WHAT_IS_LENT
			:: p = 0
#else
			:: in_use[0] == 0 -> p = 0
#if PLACES > 1
			:: in_use[1] == 0 -> p = 1
#endif
			:: else
#endif
			fi;
			if
			:: p == NONE || !ROOM -> skip /* not now */
			:: p != NONE && ROOM ->
#ifdef BUG_NUMBER_AGAIN
				n = p + 1;
#else
				n = (number[p] == 0 -> p + 1 : number[p] + PLACES);
#endif
				arena[p] = a;
				number[p] = n;
				in_use[p]++;
				called++;
				ring!n,a;
#ifdef BUG_SHOWN_AFTERWARDS
				owed = n
#else
				socket!SHOW,n,a
#endif
			fi
		fi;
		a = 0; p = 0; n = 0
	   }
#ifdef BUG_SHOWN_AFTERWARDS
	:: owed && ROOM -> socket!SHOW,owed,arena[PLACE(owed)]; owed = 0
#endif
	/* an answer: nothing of it is lent for this call any more */
	:: atomic {
		nempty(answers) ->
		answers?n;
		p = PLACE(n);
		answered++;
		in_use[p]--;
		if
		:: in_use[p] == 0 && arena[p] != NONE && closed[arena[p]] && ROOM ->
			socket!FORGET,number[p],NONE;
			arena[p] = NONE
		:: else
		fi;
		n = 0; p = 0
	   }
	/* it is closed; one that cannot be taken back now is replaced later */
	:: atomic {
		if
		:: !closed[0] -> a = 0
		:: !closed[1] -> a = 1
		fi;
		closed[a] = true;
		for (i : 0 .. PLACES - 1) {
			if
			:: arena[i] == a && in_use[i] == 0 && ROOM ->
				socket!FORGET,number[i],NONE;
				arena[i] = NONE
			:: else
			fi
		};
		a = 0; i = 0
	   }
	:: atomic { answered == CALLS -> ended = true; break }
	od
}

inline read_socket() /* in atomic: one message */
{
	socket?what,n,a;
	seen_number[PLACE(n)] = n;
	seen[PLACE(n)] = (what == SHOW -> a : NONE);
	what = 0; n = 0; a = 0
}

proctype receiver()
{
	byte seen[PLACES], seen_number[PLACES];
	byte number, meant, n, a, p;
	mtype what;

	atomic {
		for (p : 0 .. PLACES - 1) {
			seen[p] = NONE
		};
		p = 0
	};
	do
	:: atomic { nempty(socket) -> read_socket() } /* woken, or about to sleep */
	:: atomic {
		nempty(ring) ->
		ring?number,meant;
		p = PLACE(number);
		if
		:: seen_number[p] == number && seen[p] != NONE
		:: else ->
			do
			:: nempty(socket) -> read_socket()
			:: empty(socket) -> break
			od;
			assert(seen_number[p] == number && seen[p] != NONE)
		fi;
		assert(seen[p] == meant);
		answers!number;
		number = 0; meant = 0; p = 0
	   }
	:: atomic { ended && empty(ring) && empty(socket) -> break }
	od
}

init {
	atomic {
		run sender();
		run receiver()
	}
}
