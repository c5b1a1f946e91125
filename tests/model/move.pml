/*
 * A caller's calls while generations come, move, end in order and die.
 *
 * The caller has a channel to some generations at a time, and plugd as the other way.  plugd starts
 * the next generation, takes the old one out of routing (MOVED), tells it to drain, and reaps what
 * ended, late.  When one dies, a spare may have its place before.  A process may die at any step.  Before that it may write anything into closed_at, as
 * long as the page says LIVE; and with its last breath in any case.
 *
 * What is checked:
 *  - a caller that lives ends each of its calls exactly once (no other end state, assertions);
 *  - a call is executed at most once, an idempotent one at most twice;
 *  - GONE only if a process that had taken over the call, or might have, died, or if plugin and
 *    caller both ran out of patience: not on an orderly move; BROKEN only if it wrote nonsense;
 *  - OK only if it was executed;
 *  - nobody waits for ever for one that died.
 *
 *   CALLS        of the caller; the first is idempotent, the others are not
 *   GENERATIONS  processes in all
 *   CRASHES      how many of them may die
 *   PATIENCE     1: plugin and caller wait as long as it takes; 0: either may give up (1 s; 100 ms)
 *   BY_PLUGD     1: a call may also go by way of plugd
 *   CALLER_DIES  1: the caller may, at any step
 *   LIES         what is not promised: a plugin that is to move writes a closed_at that can be true
 *   BUG_…        leaves out one rule; then there must be an error
 */
#ifndef CALLS
#define CALLS 2
#endif
#ifndef GENERATIONS
#define GENERATIONS 3
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef PATIENCE
#define PATIENCE 0
#endif
#ifndef BY_PLUGD
#define BY_PLUGD 1
#endif
#ifndef CALLER_DIES
#define CALLER_DIES 0
#endif

#define NONE  255
#define DRAIN 254

/* ---- shared memory and sockets ---- */

mtype:status = { LIVE, MOVED, ENDED, DEAD };
mtype:outcome = { OPEN, OK, GONE, BROKEN };

mtype:status status[GENERATIONS]; /* plugd's page of each */
byte closed_at[GENERATIONS];      /* in the plugin's region */
bool caller_closed[GENERATIONS];  /* the ends of the wake socket */
bool plugin_closed[GENERATIONS];
chan calls[GENERATIONS] = [CALLS] of { byte, byte }; /* the caller's ring: call, id */
chan replies[GENERATIONS] = [CALLS] of { byte };     /* the plugin's */
chan session[GENERATIONS] = [CALLS + 1] of { byte }; /* plugd -> plugin: a call, or DRAIN */
chan answers = [CALLS * GENERATIONS] of { byte, byte }; /* plugin -> plugd: generation, call */
chan asked = [CALLS] of { byte, bit };               /* caller -> plugd: call, again */
chan answered = [CALLS] of { byte, mtype:outcome };  /* plugd -> caller */

/* ---- what the kernel and plugd know ---- */

byte started;                /* generations so far */
byte current = NONE;         /* takes new calls */
bool ended[GENERATIONS];     /* the process is no more */
bool in_order[GENERATIONS];  /* exit status 0 */
bool reaped[GENERATIONS];
bool caller_done, caller_died;
byte crashes = CRASHES;
byte scribbler = NONE;       /* wrote nonsense and is about to die */

/* ---- for the assertions ---- */

byte executed[CALLS];
mtype:outcome ended_as[CALLS];
bool died[GENERATIONS];
bool gave_up[GENERATIONS]; /* the plugin did not wait for the caller's end of file */

#define IDEMPOTENT(c) ((c) == 0)

inline end_call(c, how)
{
	assert(ended_as[c] == OPEN);
	ended_as[c] = how;
	assert(how != OK || executed[c] > 0)
}

/* ---- a plugin's process ---- */

inline run_handler(c) /* it is taken: from now on it may have been executed */
{
	executed[c]++;
	assert(executed[c] <= 1 || (IDEMPOTENT(c) && executed[c] <= 2))
}

inline leave()
{
	plugin_closed[g] = true;
	ended[g] = true;
	last = 0; from = 0; from_plugd = 0; draining = false; shut = false
}

proctype plugin(byte g)
{
	byte c, id, last, from = 0; /* last: id of the last call taken; from: calls that run, as bits */
	byte from_plugd = 0;
	bool draining, shut;

end:	do
	/* the channel: taken under the same exclusion as closed_at is set */
	:: atomic {
		scribbler != g && !shut && !draining && nempty(calls[g]) ->
		calls[g]?c,id;
		run_handler(c);
		last = id;
		from = from | (1 << c);
		c = 0; id = 0
	   }
	/* after closing: dropped unread */
	:: atomic { scribbler != g && draining && nempty(calls[g]) -> calls[g]?c,id; c = 0; id = 0 }
	:: atomic {
		scribbler != g && from != 0 ->
		if
		:: from & 1 -> c = 0
		:: from & 2 -> c = 1
		:: from & 4 -> c = 2
		fi;
		from = from & ~(1 << c);
		if
		:: !caller_closed[g] -> replies[g]!c
		:: caller_closed[g]
		fi;
		c = 0
	   }
	/* the session */
	:: atomic {
		scribbler != g && nempty(session[g]) ->
		session[g]?c;
		if
		:: c == DRAIN -> shut = true
		:: c != DRAIN ->
			run_handler(c);
			from_plugd = from_plugd | (1 << c)
		fi;
		c = 0
	   }
	:: atomic {
		scribbler != g && from_plugd != 0 ->
		if
		:: from_plugd & 1 -> c = 0
		:: from_plugd & 2 -> c = 1
		:: from_plugd & 4 -> c = 2
		fi;
		from_plugd = from_plugd & ~(1 << c);
		answers!g,c;
		c = 0
	   }
#ifdef BUG_CLOSED_AT_WITHOUT_EXCLUSION
	:: atomic { scribbler != g && shut && !draining && id == 0 -> id = last + 1 };
	   if /* another thread takes one meanwhile */
	   :: atomic {
		nempty(calls[g]) ->
		calls[g]?c,last;
		run_handler(c);
		from = from | (1 << c);
		c = 0
	      }
	   :: true
	   fi;
	   atomic { closed_at[g] = id; draining = true; id = 0 }
#else
	:: atomic { scribbler != g && shut && !draining -> closed_at[g] = last + 1; draining = true }
#endif
	/* stop: when all is answered and the caller has closed its end, or after 1 s */
	:: atomic {
		scribbler != g && draining && from == 0 && from_plugd == 0 && empty(session[g]) &&
		(caller_closed[g] || !PATIENCE) ->
		gave_up[g] = !caller_closed[g];
		in_order[g] = true;
		leave();
		break
	   }
	/* death */
	:: atomic {
		scribbler == NONE && crashes > 0 && !caller_done && closed_at[g] == 0 &&
#ifdef LIES
		status[g] == MOVED ->
#else
		status[g] == LIVE ->
#endif
		scribbler = g;
		if
		:: closed_at[g] = 1
		:: closed_at[g] = 100
		fi
	   }
	:: atomic {
		crashes > 0 && (scribbler == g || (scribbler == NONE && !caller_done)) ->
		crashes--;
		scribbler = NONE;
		died[g] = true;
		if
		:: closed_at[g] = 1
		:: true
		fi;
		leave();
		break
	   }
	od
}

/* ---- plugd ---- */

inline start()
{
	current = started;
	status[current] = LIVE;
	run plugin(current);
	started++
}

proctype plugd()
{
	byte c, g, on[CALLS]; /* the generation that has the relay */
	byte replayed, waiting; /* as bits */
	bit again;
	bool moving;

	atomic {
		for (c : 0 .. CALLS - 1) {
			on[c] = NONE
		};
		c = 0
	};
end:	do
	/* reload: the new one is ready, the old one moves */
	:: atomic {
		!caller_done && current != NONE && started + crashes < GENERATIONS && !moving &&
		scribbler != current ->
		g = current;
		start();
		moving = true
	   };
	   atomic {
		if
		:: scribbler == g || ended[g] /* too late */
		:: scribbler != g && !ended[g] -> status[g] = MOVED
		fi
	   };
	   session[g]!DRAIN;
	   atomic { moving = false; g = 0 }
	/* the first notice of a death: a spare has its place, and the page says so */
	:: atomic {
		started > 0 && died[0] && !reaped[0] && !moving && current == 0 &&
		status[0] == LIVE && started < GENERATIONS ->
		status[0] = MOVED;
		start()
	   }
	/* reap, whenever it comes */
	:: atomic {
		started > 0 && ended[0] && !reaped[0] && empty(answers) -> g = 0;
reap:		reaped[g] = true;
		if
		:: in_order[g] -> status[g] = ENDED
		:: !in_order[g] -> status[g] = DEAD
		fi;
		for (c : 0 .. CALLS - 1) {
			if
			:: on[c] != g
			:: on[c] == g && IDEMPOTENT(c) && !(replayed & (1 << c)) ->
				replayed = replayed | (1 << c);
				waiting = waiting | (1 << c);
				on[c] = NONE
			:: on[c] == g && !(IDEMPOTENT(c) && !(replayed & (1 << c))) ->
				on[c] = NONE;
				assert(died[g]);
				answered!c,GONE
			fi
		};
		c = 0;
		if
		:: g == current && started < GENERATIONS -> start()
		:: g == current && started == GENERATIONS -> current = NONE
		:: g != current
		fi;
		g = 0
	   }
	:: atomic { started > 1 && ended[1] && !reaped[1] && empty(answers) -> g = 1; goto reap }
#if GENERATIONS > 2
	:: atomic { started > 2 && ended[2] && !reaped[2] && empty(answers) -> g = 2; goto reap }
#endif
#if GENERATIONS > 3
	:: atomic { started > 3 && ended[3] && !reaped[3] && empty(answers) -> g = 3; goto reap }
#endif
	/* calls by way of plugd */
	:: atomic {
		nempty(asked) ->
		asked?c,again;
		waiting = waiting | (1 << c);
#ifndef BUG_REPLAYED_AGAIN
		if
		:: again -> replayed = replayed | (1 << c)
		:: !again
		fi;
#endif
		c = 0; again = 0
	   }
	:: atomic {
		waiting != 0 && current != NONE ->
		if
		:: waiting & 1 -> c = 0
		:: waiting & 2 -> c = 1
		:: waiting & 4 -> c = 2
		fi;
		waiting = waiting & ~(1 << c);
		on[c] = current;
		session[current]!c;
		c = 0
	   }
	:: atomic {
		nempty(answers) ->
		answers?g,c;
		if
		:: on[c] == g -> on[c] = NONE; answered!c,OK
		:: on[c] != g
		fi;
		c = 0; g = 0
	   }
	od
}

/* ---- the caller ---- */

#define HERE(c)   (on[c] < GENERATIONS)
/* After an end of file.  Without a closed_at it does not matter how it ended, only that plugd does
 * not hand anything to it any more. */
#ifdef BUG_MOVED_IS_ENOUGH
#define HOW_IS_KNOWN (status[g] != LIVE)
#else
#define HOW_IS_KNOWN (status[g] == ENDED || status[g] == DEAD || (n == 0 && status[g] == MOVED))
#endif
#define TO_SEND   NONE
#define WITH_PLUGD 253
#define DONE      252

inline resend_unless_taken(n) /* calls on g with an id >= n were never taken */
{
	for (c : 0 .. CALLS - 1) {
		if
		:: on[c] == g && id[c] >= n -> on[c] = TO_SEND
		:: !(on[c] == g && id[c] >= n)
		fi
	};
	c = 0
}

inline end_rest() /* calls on g that may have been executed */
{
	for (c : 0 .. CALLS - 1) {
		if
		:: on[c] == g && IDEMPOTENT(c) && !(again & (1 << c)) ->
			again = again | (1 << c);
			on[c] = TO_SEND
		:: on[c] == g && !(IDEMPOTENT(c) && !(again & (1 << c))) ->
			assert(died[g] || (gave_up[g] && impatient));
			end_call(c, GONE);
			on[c] = DONE
		:: on[c] != g
		fi
	};
	c = 0
}

inline note_answer()
{
	if
	:: id[c] > answered_id[g] -> answered_id[g] = id[c]
	:: id[c] <= answered_id[g]
	fi
}

inline end_broken() /* the plugin broke the rules */
{
	for (c : 0 .. CALLS - 1) {
		if
		:: on[c] == g ->
			assert(scribbler == g || died[g]);
			end_call(c, BROKEN);
			on[c] = DONE
		:: on[c] != g
		fi
	};
	c = 0
}

inline take_replies()
{
	do
	:: nempty(replies[g]) ->
		replies[g]?c;
		assert(on[c] == g);
		end_call(c, OK);
		note_answer();
		on[c] = DONE
	:: empty(replies[g]) -> break
	od;
	c = 0
}

inline take_one()
{
	if
	:: nempty(replies[g]) ->
		replies[g]?c;
		assert(on[c] == g);
		end_call(c, OK);
		note_answer();
		on[c] = DONE;
		c = 0
	:: empty(replies[g])
	fi
}

inline select_to_send(c_)
{
	if
	:: on[0] == TO_SEND -> c_ = 0
#if CALLS > 1
	:: on[1] == TO_SEND -> c_ = 1
#endif
#if CALLS > 2
	:: on[2] == TO_SEND -> c_ = 2
#endif
	fi
}

#define BUSY(g_) (on[0] == g_ || (CALLS > 1 && on[1 % CALLS] == g_) || (CALLS > 2 && on[2 % CALLS] == g_))

proctype caller()
{
	byte on[CALLS], id[CALLS]; /* where a call is: a generation, TO_SEND, WITH_PLUGD, DONE */
	byte posted[GENERATIONS], answered_id[GENERATIONS]; /* highest id */
	byte channel = NONE;       /* takes new calls */
	byte again;                /* calls that were sent to a process that died, as bits */
	byte g, c, n;
	bool open[GENERATIONS], impatient;
	mtype:outcome how;

	{
		atomic {
			for (c : 0 .. CALLS - 1) {
				on[c] = TO_SEND
			};
			c = 0
		};
		do
		/* all ended */
		:: atomic { !BUSY(TO_SEND) && !BUSY(WITH_PLUGD) && !BUSY(0) && !BUSY(1) && !BUSY(2) && !BUSY(3) -> break }
		/* a channel to the generation that takes calls */
		:: atomic {
			BUSY(TO_SEND) && channel == NONE && current != NONE && !open[current] &&
			!caller_closed[current] && !ended[current] ->
			channel = current;
			open[channel] = true
		   }
		/* a call goes over plugd, or over the channel */
		:: atomic {
			BY_PLUGD && BUSY(TO_SEND) && channel == NONE ->
			select_to_send(c);
			on[c] = WITH_PLUGD;
			asked!c,((again >> c) & 1);
			c = 0
		   }
		:: atomic {
			BUSY(TO_SEND) && channel != NONE ->
			/* looked at before a call is posted; it may close or move right after */
			if
			:: closed_at[channel] != 0 || status[channel] != LIVE || plugin_closed[channel] ->
				channel = NONE
			:: !(closed_at[channel] != 0 || status[channel] != LIVE || plugin_closed[channel]) ->
				g = channel
			fi
		   };
		   if
		   :: channel != NONE ->
			atomic {
				select_to_send(c);
				posted[g]++;
				id[c] = posted[g];
				on[c] = g;
				if /* the ring is memory: posting into that of a dead one is no error */
				:: nfull(calls[g]) -> calls[g]!c,id[c]
				fi;
				c = 0; g = 0
			}
		   :: channel == NONE
		   fi
		/* what plugd says */
		:: atomic {
			nempty(answered) ->
			answered?c,how;
			assert(on[c] == WITH_PLUGD);
			end_call(c, how);
			on[c] = DONE;
			c = 0; how = 0
		   }
		/* an open channel */
		:: atomic { open[0] && (nempty(replies[0]) || closed_at[0] != 0 || plugin_closed[0]) -> g = 0 };
look:		   atomic { take_one() };
		   /* closed_at first, the page second: plugd says MOVED before it tells the plugin */
		   n = closed_at[g];
		   atomic {
			if
#ifdef BUG_CLOSED_AT_OF_THE_LIVING
			:: n != 0 && !plugin_closed[g] ->
#else
			:: n != 0 && !plugin_closed[g] && status[g] == MOVED ->
#endif
				if
				:: n > answered_id[g] && n <= posted[g] + 1 -> resend_unless_taken(n)
				:: !(n > answered_id[g] && n <= posted[g] + 1) -> end_broken()
				fi;
				if
				:: channel == g -> channel = NONE
				:: channel != g
				fi;
				if
				:: !BUSY(g) -> caller_closed[g] = true; open[g] = false
				:: BUSY(g)
				fi;
				goto looked
			:: plugin_closed[g]
#ifdef BUG_CLOSED_AT_OF_THE_LIVING
			:: n == 0 && !plugin_closed[g] -> goto looked
#else
			:: !plugin_closed[g] && !(n != 0 && status[g] == MOVED) -> goto looked
#endif
			fi
		   };
		   /* end of file: what is in the ring first, then closed_at, then plugd's word */
#ifndef BUG_REPLIES_DROPPED
		   atomic { take_replies() };
#endif
		   n = closed_at[g];
		   atomic {
			impatient = false;
#ifndef BUG_ENDED_IGNORED
			if
			:: HOW_IS_KNOWN
			:: !PATIENCE && !HOW_IS_KNOWN -> impatient = true
			fi;
			if
#ifdef BUG_CLOSED_AT_OF_THE_DEAD
			:: n != 0 -> resend_unless_taken(n)
			:: n == 0
#else
			:: n != 0 && status[g] == ENDED -> resend_unless_taken(n)
			:: !(n != 0 && status[g] == ENDED)
#endif
			fi;
#endif
			end_rest();
			if
			:: channel == g -> channel = NONE
			:: channel != g
			fi;
			caller_closed[g] = true;
			open[g] = false
		   };
looked:		   atomic { n = 0; g = 0; impatient = false }
		:: atomic { open[1] && (nempty(replies[1]) || closed_at[1] != 0 || plugin_closed[1]) -> g = 1; goto look }
#if GENERATIONS > 2
		:: atomic { open[2] && (nempty(replies[2]) || closed_at[2] != 0 || plugin_closed[2]) -> g = 2; goto look }
#endif
#if GENERATIONS > 3
		:: atomic { open[3] && (nempty(replies[3]) || closed_at[3] != 0 || plugin_closed[3]) -> g = 3; goto look }
#endif
		od;
		for (c : 0 .. CALLS - 1) {
			assert(ended_as[c] != OPEN)
		}
	} unless {
		caller_died
	};
	atomic {
		caller_done = true;
		for (g : 0 .. GENERATIONS - 1) {
			caller_closed[g] = true
		}
	}
}

/* When nothing can happen any more: who was told to drain has ended, who ended was reaped. */
proctype last()
{
	byte g;

end:	timeout;
	for (g : 0 .. GENERATIONS - 1) {
		assert(g >= started || status[g] != MOVED);
		assert(!ended[g] || reaped[g])
	}
}

init {
	atomic {
		byte i;

		for (i : 0 .. CALLS - 1) {
			ended_as[i] = OPEN
		};
		start();
		run plugd();
		run caller();
		run last()
	};
#if CALLER_DIES
	if
	:: caller_died = true
	:: true
	fi
#endif
}
