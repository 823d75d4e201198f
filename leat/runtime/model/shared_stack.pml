/* The shared stack: token, inbox, sleep (shared-stack-protocol.md), for spin. Read beside leat/runtime/shard_token.hpp:
 * the names are the same, and every atomic access there is one step here. What the token guards is done in one step
 * where nobody can see a difference.
 *
 *   CALLERS   threads, each with one blocking operation that waits for a packet of its own; the last one's needs none
 *   BUDGET    foreign operations that an owner whose own call is finished runs (rule 6); 0: it always passes them on
 *   RING      the device is a ring without a descriptor (rule 11)
 *   SPIN      callers may spin before they park (rule 9)
 *   ALL_WAIT  the last caller's operation needs a packet, too
 *   CANCEL    a signal may end the first caller's wait (rule 16)
 *   LIMIT     the first caller's operation has a deadline (rule 15)
 *   JANITOR   there is one (rule 14)
 *   STOP      the last caller's operation is stop(): it ends the shard (rule 17)
 *
 * Checked, rule 19: (a) no end but with all operations done; (b) whenever the token is free and an operation waits,
 * somebody watches: so a thread that is stopped anywhere takes nothing from the others but its own work; (c) one owner;
 * (d) nothing is done to an operation that has ended; (e) with all asleep the timer is set; (f) an operation runs within
 * two budgets of its post. That spin lets a thread stand still as long as it likes, and that (b) to (d) hold in every
 * state, is the "one thread stopped at every step".
 */

#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef BUDGET
#define BUDGET 1
#endif

#define JAN CALLERS            /* the janitor's number */
#define NOBODY (CALLERS + 1)
#define TURN(t) (CALLERS + (t))          /* nodes: calls, turns of sleepers (the janitor's last), cancel nodes */
#define NODE_CANCEL(t) (2 * CALLERS + 1 + (t))
#define NODES (3 * CALLERS + 1)
#define IS_CALL(n) ((n) < CALLERS)
#define IS_TURN(n) ((n) >= CALLERS && (n) <= 2 * CALLERS)

mtype = { IDLE, POSTED, GRANTED, PARKED, DONE };
mtype = { C_IDLE, C_ON_ITS_WAY, C_CLOSED, C_ASKED, C_DEAD };
mtype = { OWN, SERVE, GRANT_OWN, GRANT_TURN, WITHDRAW };
mtype = { DEEP, GRACE, LEADING };

/* The word: held, or dead, and what is posted, oldest first. */
bool held;
#ifdef STOP
bool dead, stopping;
#define DEAD dead
#else
#define DEAD false
#endif
#define FREE (!held && !DEAD)
chan word = [NODES] of { byte };
byte owners;

/* Guarded by the token. */
chan backlog = [NODES] of { byte };
byte watcher = NOBODY;
byte armed = NOBODY;            /* whose set has the watch in it */
bool waiting[CALLERS];          /* in the list of sleepers who wait */
bool parked[CALLERS];           /* in the engine */
byte last_waiting = NOBODY;     /* latest: rule 12's choice, as far as two callers need one */
bool told;
#ifdef SPIN
bool spins[CALLERS];            /* it looks at its state, and as the watcher it turns: devices need not ring */
#define WATCHER_SPINS (watcher < CALLERS && spins[watcher])
#define MAY_SPIN(n) if :: spins[n] = true :: spins[n] = false fi
#define TAKES_OVER(n) if :: n == me && spins[n] && !WATCHER_SPINS -> lead(n) :: true fi
#else
#define WATCHER_SPINS false
#define MAY_SPIN(n) skip
#define TAKES_OVER(n) skip
#endif
bool timer_set;
mtype janitor_mode = DEEP;
byte departures, departures_seen;

/* Atomics of operations and sleepers, and the kernel's side. */
mtype state[NODES] = IDLE;
mtype cancel[CALLERS] = C_IDLE;
bool ran[CALLERS];              /* an owner has run it */
bool over[CALLERS];             /* the call has returned: its operation is gone */
bool bell[CALLERS + 1], bell_alone[CALLERS + 1];
bool signal[CALLERS];
bool kick, timer_fired, late;
bool janitor_asked, grace_over, grace;
byte device;                    /* packets on it, a bit for each caller */
byte data;                      /* and those that were taken */
bool wish, rung;
byte waited[CALLERS];           /* runs since the post, (f) */
byte alive;

#ifdef RING
#define READABLE (rung || kick || timer_fired)
#else
#define READABLE (device != 0 || kick || timer_fired)
#endif

#define BIT(t) (1 << (t))
#ifdef STOP
#define STOPS(t) ((t) == CALLERS - 1)
#define NOTE_STOP stopping = true
#define ENDING stopping
#else
#define STOPS(t) false
#define NOTE_STOP skip
#define ENDING false
#endif
#ifdef JANITOR
/* (f), the other way round: whose own call is over passes the rest on when its budget is. */
#define WORKS_FOR(n) if :: own_done && n != me -> assert(worked < BUDGET); worked++ :: else -> worked = 0 fi
#else
#define WORKS_FOR(n) skip
#endif
/* The last caller's operation ends at once, or ends all; with ALL_WAIT it needs a packet, too. */
#ifdef ALL_WAIT
#define READY(t) ((data & BIT(t)) != 0)
#else
#define READY(t) ((t) == CALLERS - 1 && CALLERS > 1 || (data & BIT(t)) != 0)
#endif

inline lead(t) { watcher = t; armed = t }

inline move_watch() {
  if
  :: last_waiting != NOBODY && waiting[last_waiting] -> lead(last_waiting)
  :: else ->
    last_waiting = NOBODY;
    i = 0;
    do
    :: i < CALLERS && !waiting[i] -> i++
    :: else -> break
    od;
    if
    :: i < CALLERS -> last_waiting = i; lead(i)
    :: else ->
      watcher = NOBODY;
#ifdef JANITOR
      departures = (departures + 1) % 4;
      if
      :: janitor_mode == DEEP -> janitor_mode = GRACE; wake_janitor = true
      :: else
      fi
#endif
    fi
  fi
}

/* Rule 7: publishes call n, after its cancel node if that is under way. */
inline publish(n) {
  parked[n] = false;
  if
  :: cancel[n] == C_ON_ITS_WAY -> cancel[n] = C_CLOSED
  :: else -> cancel[n] = C_CLOSED; finish(n)
  fi
}
inline finish(n) {
  assert(!over[n]);              /* (d) */
  assert(ran[n] || ENDING);      /* rule 16: no cancellation overtakes its operation */
  waiting[n] = false;
  if
  :: watcher == n -> move_watch()
  :: else
  fi;
  if
  :: n == me -> own_done = true
  :: else -> if :: state[n] == PARKED -> wakes = wakes | BIT(n) :: else fi
  fi;
  state[n] = DONE
}

/* Rule 9, first part, and what the owner does with a posted call. */
inline start(n) {
  assert(!over[n]);
  ran[n] = true;
  if
  :: STOPS(n) -> NOTE_STOP
  :: !STOPS(n) && READY(n) ->
    if
    :: n == me && what == OWN -> own_done = true; state[n] = DONE
    :: else -> publish(n)
    fi
  :: else ->
    if :: n == me && what != WITHDRAW -> state[n] = POSTED; MAY_SPIN(n) :: else fi;
    waiting[n] = true;
    parked[n] = true;
    last_waiting = n;
    if
    :: watcher == NOBODY || watcher == JAN ->
      if :: watcher == JAN -> janitor_mode = DEEP :: else fi;
      lead(n)
    :: else -> TAKES_OVER(n)
    fi;
    if
    :: cancel[n] == C_ASKED -> publish(n)
    :: else
    fi
  fi
}
inline take_cancel(x) {
  if
  :: cancel[x] == C_CLOSED -> finish(x)
  :: else -> cancel[x] = C_ASKED
  fi
}
inline handle_cancel(x) {
  if
  :: cancel[x] == C_CLOSED -> finish(x)
  :: else -> cancel[x] = C_ASKED; end_early(x)
  fi
}
/* It waits in the engine; or it was not run yet, and is now. */
inline end_early(x) {
  if
  :: parked[x] -> publish(x)
  :: else ->
    remove_from_backlog(x);
    if
    :: found ->
      start(x);
      if :: parked[x] -> publish(x) :: else fi
    :: else
    fi
  fi
}
inline run_node(n) {
  if
  :: IS_CALL(n) ->
    assert(waited[n] <= 2 * BUDGET + CALLERS);   /* (f) */
    WORKS_FOR(n);
    j = 0;
    do
    :: j < CALLERS -> waited[j]++; j++
    :: else -> break
    od;
    waited[n] = 0;
    start(n)
  :: IS_TURN(n) -> turns = turns | BIT(n - CALLERS); want_turn = true; woken = true
  :: else -> handle_cancel(n - 2 * CALLERS - 1)
  fi
}
/* Whoever waits and has what it waits for. */
inline serve_waiting() {
  k = 0;
  do
  :: k < CALLERS ->
    if
    :: parked[k] && (READY(k) || (late && k == 0)) -> publish(k)
    :: else
    fi;
    k++
  :: else -> break
  od
}
inline take_device() {
  data = data | device;
  got = (device != 0);
  device = 0
}
/* Turn operations are told behind the turn. */
inline tell_turns() {
  k = 0;
  do
  :: k <= CALLERS ->
    if
    :: (turns & BIT(k)) != 0 ->
      if
      :: state[TURN(k)] == PARKED && k != me -> wakes = wakes | BIT(k)
      :: else
      fi;
      state[TURN(k)] = DONE
    :: else
    fi;
    k++
  :: else -> break
  od;
  turns = 0
}
inline append_word() {
  do
  :: word?n -> backlog!n
  :: empty(word) -> break
  od
}
inline remove_from_backlog(x) {
  k = len(backlog);
  found = false;
  do
  :: k > 0 ->
    backlog?m;
    if :: m != x -> backlog!m :: else -> found = true fi;
    k--
  :: else -> break
  od;
  m = 0
}
#ifdef STOP
/* Rule 17: what was posted and not run. */
inline end_posted() {
  do
  :: backlog?n ->
    if
    :: IS_CALL(n) -> if :: STOPS(n) -> skip :: else -> publish(n) fi
    :: IS_TURN(n) ->
      if
      :: state[n] == PARKED && n - CALLERS != me -> wakes = wakes | BIT(n - CALLERS)
      :: else
      fi;
      state[n] = DONE
    :: else -> take_cancel(n - 2 * CALLERS - 1)
    fi
  :: empty(backlog) -> break
  od;
  n = 0
}
inline withdraw_all() {
  j = 0;
  do
  :: j < CALLERS -> if :: parked[j] -> publish(j) :: else fi; j++
  :: else -> break
  od
}
inline dead_invariants() {
  /* (a), (b): nobody is left behind a word that nobody will look at; who is cancelling ends its wait by itself. */
  k = 0;
  do
  :: k < CALLERS -> assert(!parked[k] && (!waiting[k] || cancel[k] == C_CLOSED)); k++
  :: else -> break
  od;
  assert(empty(word) && empty(backlog))
}
#endif
inline free_invariants() {
  /* (b): all that wait, and nobody watches: never with the token free. */
  k = 0;
  do
  :: k < CALLERS ->
    assert(!waiting[k] || (watcher < CALLERS && armed == watcher));
    k++
  :: else -> break
  od
}

/* leave(), after own_call or with want_turn. Ends at `left`, without the token. */
#define LEAVE \
  budget = BUDGET; \
again: \
  do \
  :: atomic { nempty(backlog) && budget > 0 -> backlog?n; budget--; run_node(n); n = 0 } \
  :: atomic { empty(backlog) || budget == 0 -> break } \
  od; \
  if \
  :: want_turn -> \
    atomic { if :: told -> told = false; wish = false; rung = false :: else fi } \
    atomic { take_device(); serve_waiting(); tell_turns() } \
    if \
    :: woken && !got -> atomic { if :: timer_fired -> timer_fired = false; timer_set = false :: else fi; kick = false } \
    :: else \
    fi; \
    woken = false; want_turn = false \
  :: else -> atomic { serve_waiting() } \
  fi; \
  KILL \
  PREPARE \
  if \
  :: empty(backlog) -> \
    if \
    :: atomic { empty(word) -> free_invariants(); held = false; owners--; goto left } \
    :: atomic { nempty(word) -> append_word() } \
    fi; \
    if :: budget > 0 -> goto again :: else fi \
  :: nempty(backlog) \
  fi; \
  if \
  :: !own_done && me < CALLERS -> budget = BUDGET; want_turn = true; goto again \
  :: else \
  fi; \
pass_on: \
  m = len(backlog); \
  do \
  :: m > 0 -> \
    atomic { \
      backlog?n; backlog!n; m--; \
      if \
      :: state[n] == POSTED && n < NODE_CANCEL(0) -> state[n] = GRANTED; n = 0; goto left \
      :: else \
      fi \
    } \
  :: else -> break \
  od; \
  atomic { \
    m = len(backlog); \
    do \
    :: m > 0 -> \
      backlog?n; backlog!n; m--; \
      if \
      :: watcher == NOBODY && IS_CALL(n) -> lead(n) \
      :: IS_TURN(n) -> wakes = wakes | BIT(n - CALLERS)  /* it sleeps alone: the kick does not reach it */ \
      :: else \
      fi \
    :: else -> break \
    od; \
    n = 0 \
  } \
  NO_JANITOR_STAYS \
  if \
  :: atomic { nempty(word) -> append_word(); goto pass_on } \
  :: atomic { empty(word) -> \
      do :: backlog?n -> word!n :: empty(backlog) -> break od; \
      n = 0; free_invariants(); held = false; owners-- } \
  fi; \
  kick = true; \
  KICK_JANITOR \
left: \
  if :: wake_janitor -> atomic { bell[JAN] = true; bell_alone[JAN] = true; wake_janitor = false } :: else fi; \
  k = 0; \
  do \
  :: atomic { k <= CALLERS -> \
      if :: (wakes & BIT(k)) != 0 -> bell[k] = true; bell_alone[k] = true :: else fi; k++ } \
  :: atomic { k > CALLERS -> break } \
  od; \
  wakes = 0; k = 0; worked = 0

#ifdef STOP
/* The exchange of the word is one step; whoever comes later finds it dead. */
#define KILL \
  if \
  :: stopping -> \
    atomic { withdraw_all(); end_posted() } \
    atomic { append_word(); n = 0; dead = true; held = false } \
    atomic { end_posted(); watcher = NOBODY; armed = NOBODY; finish(CALLERS - 1); dead_invariants(); owners-- } \
    goto left \
  :: else \
  fi;
#else
#define KILL
#endif
#ifdef JANITOR
#define NO_JANITOR_STAYS
#define KICK_JANITOR janitor_asked = true; wake_janitor = true;
#else
#define NO_JANITOR_STAYS if :: watcher == NOBODY -> budget = BUDGET + 1; goto again :: else fi;
#define KICK_JANITOR
#endif

#ifdef LIMIT
#define TIMER if :: waiting[0] && watcher != NOBODY && !timer_set && !late -> timer_set = true :: else fi;
#else
#define TIMER
#endif
#ifdef RING
/* store the wish, fence, look again: two steps, for the writer may come between them */
#define PREPARE \
  TIMER \
  if \
  :: watcher != NOBODY && !told && !WATCHER_SPINS -> \
    wish = true; \
    if \
    :: atomic { device == 0 -> told = true } \
    :: atomic { device != 0 -> wish = false; rung = false } \
      want_turn = true; goto again \
    fi \
  :: else \
  fi;
#else
#define PREPARE TIMER
#endif

#define LOCALS \
  byte n, m, i, j, k, budget, wakes, turns, worked; \
  bool own_done, want_turn, woken, got, wake_janitor, asked, found; \
  mtype what = OWN

proctype caller(byte me) {
  LOCALS;
#ifdef SPIN
  bool spun;
#endif
try_enter:
  if
  :: atomic { FREE -> held = true; owners++; assert(owners == 1); append_word(); n = 0 } goto owned  /* (c) */
  :: held ->
    if
    :: what == OWN -> goto post_own
    :: what == SERVE -> goto post_turn
    :: what == WITHDRAW -> goto post_cancel
    fi
  :: DEAD ->
    if
    :: what == OWN -> goto ends                    /* shut down */
    :: what == SERVE -> goto sleeps_alone
    :: what == WITHDRAW -> what = OWN; goto sleeps /* somebody completes it */
    fi
  fi;
post_own:
  if
  :: atomic { held -> state[me] = POSTED; waited[me] = 0; word!me } goto waits
  :: !held -> goto try_enter
  fi;
post_turn:
  if
  :: state[TURN(me)] == PARKED -> goto await_turn
  :: atomic { state[TURN(me)] != PARKED && held -> state[TURN(me)] = POSTED; word!TURN(me) } goto await_turn
  :: state[TURN(me)] != PARKED && !held -> goto try_enter
  fi;
post_cancel:
  if
  :: atomic { cancel[me] != C_IDLE -> what = OWN } goto sleeps      /* it is being completed */
  :: atomic { cancel[me] == C_IDLE -> cancel[me] = C_ON_ITS_WAY }
  fi;
repost:
  if
  :: atomic { held -> word!NODE_CANCEL(me); what = OWN } goto sleeps
  :: atomic { FREE -> held = true; owners++; assert(owners == 1); append_word(); n = 0;
      handle_cancel(me); n = 0 } goto leaves
  :: atomic { DEAD -> what = OWN;
      if :: cancel[me] == C_CLOSED -> state[me] = DONE :: else -> cancel[me] = C_DEAD fi } goto sleeps
  fi;
owned:
  atomic {
    if
    :: what == OWN -> start(me)
    :: what == SERVE -> want_turn = true; woken = true
    :: what == GRANT_OWN -> remove_from_backlog(me); start(me)
    :: what == GRANT_TURN -> remove_from_backlog(TURN(me)); state[TURN(me)] = DONE; want_turn = true; woken = true
    :: what == WITHDRAW -> if :: state[me] != DONE -> end_early(me) :: else fi
    fi;
    n = 0
  }
leaves:
  LEAVE;
  what = OWN;
  if
  :: own_done -> goto ends
  :: else -> if :: state[me] == PARKED -> goto sleeps :: else -> goto waits fi
  fi;
waits:  /* POSTED: it looks at its state, then sleeps */
  if
  :: state[me] == GRANTED -> what = GRANT_OWN; goto owned
  :: state[me] == DONE -> goto ends
#ifdef SPIN
  :: atomic { !spins[me] && !spun && state[me] == POSTED -> spins[me] = true } goto waits  /* for an owner */
  :: atomic { spins[me] && state[me] == POSTED && watcher == me && FREE -> held = true; owners++;
      assert(owners == 1); append_word(); n = 0; want_turn = true } goto leaves
  :: atomic { spins[me] -> spins[me] = false; spun = true } goto waits
  :: atomic { state[me] == POSTED && !spins[me] -> state[me] = PARKED }
    if
    :: spun && watcher == me -> spun = false; what = SERVE; goto try_enter  /* devices must hear of the sleep */
    :: !spun || watcher != me -> spun = false; goto sleeps
    fi
#else
  :: atomic { state[me] == POSTED -> state[me] = PARKED } goto sleeps
#endif
  fi;
sleeps:
  if
  :: state[me] == DONE -> goto ends
  :: atomic { state[me] != DONE && bell[me] -> bell[me] = false } goto sleeps
  :: state[me] != DONE && armed == me && READABLE -> what = SERVE; goto try_enter
  :: atomic { state[me] != DONE && signal[me] && !asked -> signal[me] = false; asked = true } what = WITHDRAW; goto try_enter
  fi;
sleeps_alone:  /* the last owner rings it */
  if
  :: state[me] == DONE -> goto ends
  :: atomic { state[me] != DONE && bell_alone[me] -> bell_alone[me] = false } what = OWN; goto sleeps
  fi;
await_turn:
  if
  :: state[TURN(me)] == GRANTED -> what = GRANT_TURN; goto owned
  :: state[TURN(me)] == DONE -> goto sleeps
  :: atomic { state[TURN(me)] == POSTED -> state[TURN(me)] = PARKED }
  :: state[TURN(me)] == PARKED
  fi;
  do  /* sleep_alone */
  :: state[TURN(me)] == DONE || state[me] == DONE -> break
  :: atomic { bell_alone[me] -> bell_alone[me] = false }
    if
    :: state[TURN(me)] == DONE || state[me] == DONE -> break
    :: atomic { FREE -> held = true; owners++; assert(owners == 1); append_word(); n = 0 }
      want_turn = true; woken = true; goto leaves      /* it was left behind */
    :: held || DEAD
    fi
  od;
  goto sleeps;
ends:
  assert(state[TURN(me)] != POSTED && state[TURN(me)] != GRANTED);
  atomic { over[me] = true; alive-- }
}

#ifdef JANITOR
proctype janitor(byte me) {
  LOCALS;
  what = SERVE;
end_wait:
  if
  :: atomic { bell[JAN] -> bell[JAN] = false; grace = true; grace_over = false }
    if
    :: atomic { janitor_asked -> janitor_asked = false } goto try_enter
    :: !janitor_asked -> goto end_wait
    fi
  :: armed == JAN && READABLE -> goto try_enter
  :: atomic { grace && grace_over -> grace_over = false } goto grace_ends
  fi;
try_enter:
  if
  :: DEAD -> goto ends
  :: atomic { FREE -> held = true; owners++; assert(owners == 1); append_word(); n = 0 }
    want_turn = true; woken = true; goto leaves
  :: held ->
    if
    :: state[TURN(JAN)] == PARKED -> goto await_turn
    :: atomic { state[TURN(JAN)] != PARKED && held -> state[TURN(JAN)] = POSTED; word!TURN(JAN) } goto await_turn
    :: state[TURN(JAN)] != PARKED && !held -> goto end_wait
    fi
  fi;
await_turn:
  if
  :: state[TURN(JAN)] == GRANTED ->
    atomic { remove_from_backlog(TURN(JAN)); n = 0; state[TURN(JAN)] = DONE; want_turn = true; woken = true } goto leaves
  :: state[TURN(JAN)] == DONE -> goto end_wait
  :: atomic { state[TURN(JAN)] == POSTED -> state[TURN(JAN)] = PARKED }
  :: state[TURN(JAN)] == PARKED
  fi;
end_alone:
  do
  :: state[TURN(JAN)] == DONE -> break
  :: atomic { bell_alone[JAN] -> bell_alone[JAN] = false }
    if
    :: state[TURN(JAN)] == DONE -> break
    :: atomic { FREE -> held = true; owners++; assert(owners == 1); append_word(); n = 0 }
      want_turn = true; woken = true; goto leaves
    :: held || DEAD
    fi
  od;
  goto end_wait;
grace_ends:
  if
  :: DEAD -> grace = false; goto ends
  :: held -> goto end_wait                       /* somebody is at it: another grace */
  :: atomic { FREE -> held = true; owners++; assert(owners == 1); append_word(); n = 0 }
  fi;
  atomic {
    if
    :: watcher == NOBODY -> take_device(); serve_waiting()
    :: else
    fi;
    if
    :: departures != departures_seen -> janitor_mode = GRACE
    :: departures == departures_seen && watcher == NOBODY -> janitor_mode = LEADING; lead(JAN)
    :: departures == departures_seen && watcher == JAN -> janitor_mode = LEADING
    :: else -> janitor_mode = DEEP
    fi;
    departures_seen = departures;
    grace = (janitor_mode == GRACE)
  }
leaves:
  LEAVE;
  goto end_wait;
ends:
  skip
}
#endif

/* Packets come, and a signal may. */
proctype wire() {
  byte t;
  do
  :: t < CALLERS ->
#ifdef LIMIT
    if :: t == 0 -> t++ :: else fi;     /* its packet never comes */
#endif
    atomic { if :: t < CALLERS -> device = device | BIT(t) :: else fi }
#ifdef RING
    if
    :: atomic { wish -> wish = false } rung = true
    :: !wish
    fi;
#endif
    t++
  :: else -> break
  od
}
#ifdef CANCEL
proctype signals() {
  signal[0] = true
}
#endif

/* When nobody can go on, time passes; and then all must have ended. */
proctype quiet() {
end_quiet:
  do
  :: timeout ->
    /* (e) */
#ifdef LIMIT
    assert(!waiting[0] || late || timer_set || timer_fired || grace);
#endif
    if
    :: alive == 0 -> break
    :: alive > 0 && grace && !grace_over -> grace_over = true
    :: alive > 0 && !(grace && !grace_over) && timer_set && !timer_fired -> atomic { late = true; timer_fired = true }
    :: else -> assert(alive == 0)    /* (a) */
    fi
  od
}

init {
  byte t;
  atomic {
    alive = CALLERS;
    do
    :: t < CALLERS -> run caller(t); t++
    :: else -> break
    od;
#ifdef JANITOR
    janitor_mode = LEADING;
    lead(JAN);
    run janitor(JAN);
#endif
    run wire();
#ifdef CANCEL
    run signals();
#endif
    run quiet()
  }
}
