/*
 * Buffers of tensors: who may reuse them when.  A request's buffer is pinned until the final Reply
 * of its call, a reply's until the caller releases it.  Calls may end early (timeout, cancel), so
 * that their reply comes late; a user may release twice.
 *
 * The contents of a buffer are the call that it was filled for, so whoever reads another call's has
 * read a buffer that was reused too early.  When nothing can happen any more (`last`) no buffer is
 * pinned.
 *
 *   CALLS    of the caller
 *   BUFFERS  in each side's arena
 *   DEATH    1: one side dies at any step, or none
 *   BUG_…    leaves out one rule; then there must be an error
 */
#ifndef CALLS
#define CALLS 3
#endif
#ifndef BUFFERS
#define BUFFERS 1
#endif
#ifndef DEATH
#define DEATH 1
#endif

#define NONE 255

mtype = { CALL, CANCEL, RELEASE };

/* A message names a buffer by place and generation. */
chan to_plugin = [4 * CALLS] of { mtype, byte, byte, byte }; /* call, buffer, generation */
chan to_caller = [CALLS] of { byte, byte, byte };            /* the final Reply: call, buffer, generation */

byte contents[2 * BUFFERS];   /* the caller's arena, then the plugin's */
byte generation[2 * BUFFERS];
bool pinned[2 * BUFFERS];
bool gone[2];                 /* the caller, the plugin: killed, or has closed the channel */
bool in_order;                /* the caller closed it when it was done */
byte double_releases;         /* counted by the plugin */

#define MINE(b)  (b)
#define HIS(b)   (BUFFERS + (b))

inline allocate(first, b, call) /* in d_step or atomic */
{
	if
	:: !pinned[first] -> b = first
#if BUFFERS > 1
	:: !pinned[first + 1] -> b = first + 1
#endif
	fi;
	pinned[b] = true;
	generation[b]++;
	contents[b] = call
}

#if BUFFERS > 1
#define FREE(first) (!pinned[first] || !pinned[first + 1])
#else
#define FREE(first) (!pinned[first])
#endif

#define ONGOING(c_) (c_ < CALLS && request[c_ % CALLS] != NONE)
#define HELD(c_)    (c_ < CALLS && reply[c_ % CALLS] != NONE)
#define HOLDS_SOMETHING (ONGOING(0) || ONGOING(1) || ONGOING(2) || HELD(0) || HELD(1) || HELD(2))

inline pick_request(c_)
{
	if
	:: ONGOING(0) && !(early & 1) -> c_ = 0
	:: ONGOING(1) && !(early & 2) -> c_ = 1
	:: ONGOING(2) && !(early & 4) -> c_ = 2
	fi
}

inline pick_reply(c_)
{
	if
	:: HELD(0) -> c_ = 0
	:: HELD(1) -> c_ = 1
	:: HELD(2) -> c_ = 2
	fi
}

proctype caller()
{
	byte next, answered;                   /* calls made; final Replies taken */
	byte request[CALLS], of_request[CALLS]; /* the buffer pinned for a call that has no final Reply yet */
	byte reply[CALLS], of_reply[CALLS];    /* the buffer that the user holds */
	byte early;                            /* calls that ended for the user already, as bits */
	byte again, of_again, call_again;      /* released once, and about to be released again */
	byte c, b, g;
	bool twice;

	{
		atomic {
			for (c : 0 .. CALLS - 1) {
				request[c] = NONE;
				reply[c] = NONE
			};
			again = NONE;
			c = 0
		};
end:		do
		:: atomic {
			next < CALLS && FREE(MINE(0)) && !gone[1] ->
			allocate(MINE(0), b, next);
			request[next] = b;
			to_plugin!CALL,next,b,generation[b];
			next++;
			b = 0
		   }
		/* the user does not wait any longer: for him the call has ended */
		:: atomic {
			pick_request(c);
			early = early | (1 << c);
			to_plugin!CANCEL,c,0,0;
#ifdef BUG_FREED_AT_TIMEOUT
			pinned[request[c]] = false;
			request[c] = NONE;
#endif
			c = 0
		   }
		:: atomic {
			nempty(to_caller) ->
			to_caller?c,b,g;
			answered++;
			if
			:: request[c] != NONE -> pinned[request[c]] = false; request[c] = NONE
			:: request[c] == NONE
			fi;
			if
			:: b == NONE
			:: b != NONE && !(early & (1 << c)) -> reply[c] = b; of_reply[c] = g
			:: b != NONE && (early & (1 << c)) -> /* nobody has it: it goes back at once */
#ifndef BUG_LATE_REPLY_DROPPED
				to_plugin!RELEASE,0,b,g
#else
				skip
#endif
			fi;
			c = 0; b = 0; g = 0
		   }
		/* the user reads what he holds, and releases it */
		:: atomic {
			pick_reply(c);
			assert(contents[reply[c]] == c);
			to_plugin!RELEASE,0,reply[c],of_reply[c];
			if
			:: !twice && again == NONE -> again = reply[c]; of_again = of_reply[c]; twice = true
			:: true
			fi;
			reply[c] = NONE;
			of_reply[c] = 0;
			c = 0
		   }
		:: atomic {
			again != NONE ->
			to_plugin!RELEASE,0,again,of_again;
			again = NONE;
			of_again = 0
		   }
		/* end of file: every call has ended, nobody reads the request's buffers any more */
		:: atomic {
			gone[1] && !gone[0] && empty(to_caller) ->
			for (c : 0 .. CALLS - 1) {
				if
				:: request[c] != NONE -> pinned[request[c]] = false; request[c] = NONE
				:: request[c] == NONE
				fi;
				reply[c] = NONE
			};
			again = NONE;
			c = 0;
			gone[0] = true;
			break
		   }
		/* done */
		:: atomic {
			answered == CALLS && !HOLDS_SOMETHING && again == NONE && empty(to_caller) && !gone[0] ->
			in_order = true;
			gone[0] = true;
			break
		   }
		od
	} unless {
		gone[0]
	}
}

proctype plugin()
{
	byte handled = NONE, b, g;  /* the call whose handler runs, and its request's buffer */
	byte c, r, n;
	mtype what;

	{
end:		do
		:: atomic {
			nempty(to_plugin) && (handled == NONE || !(to_plugin?[CALL,_,_,_])) ->
			to_plugin?what,c,r,n;
			if
			:: what == CALL ->
				handled = c; b = r; g = n
			:: what == CANCEL /* the handler is told, and still has to end */
			:: what == RELEASE ->
				if
#ifdef BUG_NO_GENERATIONS
				:: pinned[r] -> pinned[r] = false
				:: !pinned[r] -> double_releases++
#else
				:: pinned[r] && generation[r] == n -> pinned[r] = false
				:: !(pinned[r] && generation[r] == n) -> double_releases++
#endif
				fi
			fi;
			what = 0; c = 0; r = 0; n = 0
		   }
		/* the handler reads its request for the last time, then answers */
		:: atomic {
			handled != NONE ->
			assert(contents[b] == handled && generation[b] == g)
		   };
		   atomic {
			if
			:: FREE(HIS(0)) ->
				allocate(HIS(0), r, handled);
				to_caller!handled,r,generation[r]
			:: true -> to_caller!handled,NONE,0
			fi;
			handled = NONE;
			r = 0; b = 0; g = 0
		   }
		/* end of file: what the caller held is free; after an orderly end there is nothing */
		:: atomic {
			gone[0] && empty(to_plugin) && handled == NONE ->
			for (r : 0 .. BUFFERS - 1) {
				assert(!in_order || !pinned[HIS(r)])
			};
			break
		   }
		od
	} unless {
		gone[1]
	};
	atomic {
		for (r : 0 .. BUFFERS - 1) {
			pinned[HIS(r)] = false
		};
		gone[1] = true
	}
}

proctype last()
{
	byte i;

end:	timeout;
	for (i : 0 .. 2 * BUFFERS - 1) {
		assert(!pinned[i])
	}
}

#if DEATH
proctype death()
{
	if
	:: gone[1] = true
	:: true
	fi
}
#endif

init {
	atomic {
		run caller();
		run plugin();
		run last();
#if DEATH
		run death()
#endif
	}
}
