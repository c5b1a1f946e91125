/*
 * Opening channels: a client asks, plugd offers, the plugin answers, plugd grants.  Client and
 * plugin may die at any step, the plugin may hang or drain, plugd's deadline may pass at any step.
 *
 * A wake socket has two ends.  Whoever has one sees end of file when nobody has the other: not the
 * processes, not plugd, no message under way.  The descriptors in plugd's own table are counted.
 *
 * What is checked when nothing can happen any more (`last`):
 *  - every request was answered, or its client is dead;
 *  - plugd has no descriptor left;
 *  - a channel is open at both sides or at none;
 *  - plugd counts exactly the channels that are open;
 * and at every step that an honest plugin, however late, never says what plugd kills it for: an
 * answer to an offer that is none, or the end of a channel that it has not answered for.
 *
 *   REQUESTS  of the client, one after the other
 *   QUOTA     channels that the instance may hold
 *   QUEUE     messages that the broker socket holds towards the plugin
 *   DEATHS    of client and plugin, each at most once
 *   BUG_…     leaves out one rule; then there must be an error
 */
#ifndef REQUESTS
#define REQUESTS 3
#endif
#ifndef QUOTA
#define QUOTA 2
#endif
#ifndef QUEUE
#define QUEUE 1
#endif
#ifndef DEATHS
#define DEATHS 2
#endif

mtype = { REQUEST, OFFER, ANSWER, REFUSED, GRANT, CLOSED };

chan to_plugd = [1] of { byte };              /* client: REQUEST with the caller's region */
chan to_client = [REQUESTS] of { mtype, byte };
chan to_plugin = [QUEUE] of { byte };         /* OFFER with the caller's region and a wake end */
chan from_plugin = [2 * REQUESTS] of { mtype, byte }; /* ANSWER with the plugin's region; REFUSED; CLOSED */

byte client_ends[REQUESTS]; /* holders of the client's end of each wake socket */
byte plugin_ends[REQUESTS];
byte held;                  /* descriptors in plugd's table, its own aside */
byte counted;               /* channels of the instance, for the quota */
bool client_dead, plugin_dead, plugin_hangs, client_waits;
bool client_has[REQUESTS], plugin_has[REQUESTS];
bool mute[REQUESTS];
bool client_quits[REQUESTS]; /* will close it by itself, some time */
byte deaths = DEATHS;

/* ---- client ---- */

#define DONE_WITH(k_) (client_has[k_] && (client_quits[k_] || plugin_ends[k_] == 0))

inline drop_mine(k_)
{
	client_has[k_] = false;
	client_quits[k_] = false;
	client_ends[k_]--
}

proctype client()
{
	byte k, asked;
	mtype what;

	{
end:		do
		:: atomic { asked < REQUESTS && !client_waits -> to_plugd!asked; client_waits = true; asked++ }
		/* an answer comes; a client that stopped waiting closes what comes with it */
		:: atomic {
			nempty(to_client) ->
			to_client?what,k;
			client_waits = false;
			if
			:: what == GRANT -> client_has[k] = true; client_quits[k] = true
			:: what == GRANT -> client_has[k] = true
#ifdef BUG_UNWANTED_GRANT_KEPT
			:: what == GRANT
#else
			:: what == GRANT -> client_ends[k]-- /* of no use any more, or not as it should be */
#endif
			:: what == REFUSED
			fi;
			what = 0; k = 0
		   }
		/* done with one, or end of file */
		:: atomic { DONE_WITH(0) -> drop_mine(0) }
#if REQUESTS > 1
		:: atomic { DONE_WITH(1) -> drop_mine(1) }
#endif
#if REQUESTS > 2
		:: atomic { DONE_WITH(2) -> drop_mine(2) }
#endif
		od
	} unless {
		client_dead
	};
	atomic {
		for (k : 0 .. REQUESTS - 1) {
			if
			:: client_has[k] -> drop_mine(k)
			:: !client_has[k]
			fi
		};
		do /* what lies in its socket goes with it */
		:: nempty(to_client) ->
			to_client?what,k;
			if
			:: what == GRANT -> client_ends[k]--
			:: what != GRANT
			fi
		:: empty(to_client) -> break
		od;
		client_waits = false
	}
}

/* ---- plugin ---- */

inline drop_channel(k_)
{
	plugin_has[k_] = false;
	plugin_ends[k_]--
}

proctype plugin()
{
	byte k;
	byte owed; /* offers taken and not answered, as bits */
	bool draining;

	{
end:		do
		:: atomic {
			!plugin_hangs && nempty(to_plugin) ->
			to_plugin?k;
			if
			:: !draining ->
				plugin_has[k] = true;
				from_plugin!ANSWER,k
			:: !draining -> /* it is slow: plugd has to help itself */
				plugin_has[k] = true;
				owed = owed | (1 << k)
			:: !draining -> /* it never says anything: it is counted as long as it lives */
				plugin_has[k] = true;
				mute[k] = true
			:: true -> /* it drains, or has no memory, or the caller's region is wrong */
				plugin_ends[k]--;
				from_plugin!REFUSED,k
			fi;
			k = 0
		   }
		:: atomic {
			!plugin_hangs && plugin_has[0] && client_ends[0] == 0 -> k = 0;
dropped:		drop_channel(k);
			if
#ifndef BUG_CLOSED_UNANSWERED
			:: owed & (1 << k) -> from_plugin!REFUSED,k
			:: !(owed & (1 << k)) && !mute[k] -> from_plugin!CLOSED,k
			:: mute[k]
#else
			:: true -> from_plugin!CLOSED,k
#endif
			fi;
			owed = owed & ~(1 << k);
			k = 0
		   }
		:: atomic {
			!plugin_hangs && owed != 0 ->
			if
			:: owed & 1 -> k = 0
			:: owed & 2 -> k = 1
			:: owed & 4 -> k = 2
			fi;
			owed = owed & ~(1 << k);
			from_plugin!ANSWER,k;
			k = 0
		   }
#if REQUESTS > 1
		:: atomic { !plugin_hangs && plugin_has[1] && client_ends[1] == 0 -> k = 1; goto dropped }
#endif
#if REQUESTS > 2
		:: atomic { !plugin_hangs && plugin_has[2] && client_ends[2] == 0 -> k = 2; goto dropped }
#endif
		:: atomic { !plugin_hangs && !draining -> draining = true }
		od
	} unless {
		plugin_dead
	};
	atomic {
		for (k : 0 .. REQUESTS - 1) {
			if
			:: plugin_has[k] -> drop_channel(k)
			:: !plugin_has[k]
			fi
		};
		do
		:: nempty(to_plugin) -> to_plugin?k; plugin_ends[k]--
		:: empty(to_plugin) -> break
		od
	}
}

/* ---- plugd ---- */

inline answer(what_, k_) /* what is sent to a dead client goes nowhere, descriptors included */
{
	if
	:: !client_dead -> to_client!what_,k_
	:: client_dead && what_ == GRANT -> client_ends[k_]--
	:: client_dead && what_ != GRANT
	fi
}

#define CAN_OFFER (!reaped && !plugin_dead && counted < QUOTA && len(to_plugin) < QUEUE)

proctype plugd()
{
	byte k, n;
	byte offered;   /* requests that wait for the plugin, as bits: their client's end is held */
	byte abandoned; /* … that nobody waits for any more */
	byte open;      /* answered, and not said to be closed */
	bool reaped;
	mtype what;

end:	do
	:: atomic {
		nempty(to_plugd) ->
		to_plugd?k;
		held++; /* the caller's region */
		if
		:: !CAN_OFFER ->
			held--;
			answer(REFUSED, k)
		:: CAN_OFFER ->
			client_ends[k] = 1;
			plugin_ends[k] = 1;
			held = held + 2;
			to_plugin!k;
			held = held - 2;
			offered = offered | (1 << k);
			counted++
		fi;
		k = 0
	   }
	:: atomic {
		!reaped && nempty(from_plugin) ->
		from_plugin?what,k;
		if
		:: what == ANSWER ->
			assert((offered | abandoned) & (1 << k));
			held++; /* the plugin's region */
			open = open | (1 << k);
			if
			:: offered & (1 << k) ->
#ifdef BUG_KEEPS_THE_WAKE_END
				client_ends[k]++;
				held--;
#else
				held = held - 2;
#endif
				answer(GRANT, k)
			:: abandoned & (1 << k) -> /* too late: refused already */
#ifndef BUG_LATE_ANSWER_KEPT
				held--
#else
				skip
#endif
			fi
		:: what == REFUSED ->
			assert((offered | abandoned) & (1 << k));
			counted--;
			if
			:: offered & (1 << k) ->
				client_ends[k]--;
				held--;
				answer(REFUSED, k)
			:: abandoned & (1 << k)
			fi
		:: what == CLOSED ->
			assert(open & (1 << k));
			open = open & ~(1 << k);
			counted--
		fi;
		offered = offered & ~(1 << k);
		abandoned = abandoned & ~(1 << k);
		what = 0; k = 0
	   }
#ifndef BUG_NO_DEADLINE
	/* the deadline of an offer: the plugin will drop its side at the end of file */
	:: atomic {
		offered != 0 ->
		if
		:: offered & 1 -> k = 0
		:: offered & 2 -> k = 1
		:: offered & 4 -> k = 2
		fi;
		offered = offered & ~(1 << k);
		abandoned = abandoned | (1 << k);
		client_ends[k]--;
		held--;
		answer(REFUSED, k);
		k = 0
	   }
#endif
	/* no tick for too long */
	:: atomic { plugin_hangs && !plugin_dead -> plugin_dead = true }
	/* the process has ended: its broker socket is closed with what lies in it */
	:: atomic {
		plugin_dead && !reaped ->
		reaped = true;
		do
		:: nempty(from_plugin) -> from_plugin?_,_
		:: empty(from_plugin) -> break
		od;
		for (k : 0 .. REQUESTS - 1) {
			if
			:: offered & (1 << k) ->
				client_ends[k]--;
				held--;
				answer(REFUSED, k)
			:: !(offered & (1 << k))
			fi
		};
		offered = 0;
		abandoned = 0;
		open = 0;
		counted = 0;
		k = 0
	   }
	od
}

/* ---- the world ---- */

proctype fate()
{
end:	do
	:: atomic { deaths > 0 && !client_dead -> client_dead = true; deaths-- }
	:: atomic { deaths > 0 && !plugin_dead -> plugin_dead = true; deaths-- }
	:: atomic { deaths > 0 && !plugin_dead && !plugin_hangs -> plugin_hangs = true; deaths-- }
	:: break
	od
}

proctype last()
{
	byte k, n;

end:	timeout;
	assert(!client_waits);
	assert(held == 0);
	for (k : 0 .. REQUESTS - 1) {
		assert(client_has[k] == plugin_has[k]);
		n = n + (plugin_has[k] || (mute[k] && !plugin_dead))
	};
	assert(counted == n)
}

init {
	atomic {
		run client();
		run plugin();
		run plugd();
		run fate();
		run last()
	}
}
