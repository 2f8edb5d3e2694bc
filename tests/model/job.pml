/* Pawl: one build, its attempts, the job journal and the link between master and workers.
 *
 * The rules modelled here are those of docs/protocol-rules.md 1 to 7.
 * What is real:     the master's durable state, its transactions and the messages that follow them;
 *                   the spool of each worker; the agent; the runner with its lock and start record.
 * What is abstract: time (a timer may fire at any moment), log bytes (a record is a number), one build.
 * Faults, any FAULTS of them in any order: kill -9 of master, agent, runner; a cut link that loses what is under way;
 * stale messages that arrive after a reconnect, out of order or twice; a worker taken for lost while it is
 * alive; a worker that comes back with an empty disk (another spool id); a power cut of a worker, which takes the end of its
 * journals, or whole spool entries, since nothing there is synced. With -DCANCEL_TOO also one cancel at any moment; with -DRESTORES=1 the
 * master's state directory is once set back to a backup taken at any earlier moment.
 *
 * A journal has R records: 0 = start (written by the runner under its lock), ..., R-1 = end with the result.
 * -DBUG_... plants a mistake that the checks must find; README.md lists them.
 */
#ifndef NW
#define NW 2                            /* workers */
#endif
#ifndef NA
#define NA 2                            /* attempts that the build may use */
#endif
#ifndef R
#define R 3                             /* records in a journal */
#endif
#ifndef FAULTS
#define FAULTS 2                        /* faults in one history, of any kind, in any order */
#endif
#ifndef RESTORES
#define RESTORES 0                      /* the master's state directory is replaced by an older backup */
#endif

#define IX(w, a) ((w) * NA + (a) - 1)   /* attempts count from 1 */
#define BIT(a) (1 << (a))
#define CAP (2 * NA + 1)
#define ROOM(w) (len(down[w]) <= CAP - 2 * NA)

mtype = { HELLO, JOURNAL, JOB, RESUME, ACK, FORGET, CANCEL };
mtype = { QUEUED, OPEN, DONE };         /* the build */
mtype = { NONE, LIVE, ENDED, FENCED, LOST }; /* an attempt; LOST: what its worker has under the id is another journal */
#define GREEN 1
#define EXCEPTION 2

/* kind, session, attempt, hello: spool bitmap | journal: offset, hello: spool id | journal: result,
 * journal: which run wrote it (what the chain of checksums names) */
chan up[NW] = [2] of { mtype, byte, byte, byte, byte, byte };
chan down[NW] = [CAP] of { mtype, byte, byte, byte };
bool link[NW];                          /* a connection stands */
byte nsess[NW];                         /* sessions so far; in life a random nonce */

/* ---- the master's disk ------------------------------------------------------------------------------------------ */
mtype build = QUEUED;
byte cur;                               /* the attempt that counts */
byte next = 1;                          /* next attempt id */
mtype astate[NA + 1] = NONE;
byte aworker[NA + 1];
byte off[NA + 1];                       /* committed offset */
byte aspool[NA + 1];                    /* the spool that it was offered to */
byte counted;                           /* ghost: how often the build got a result */
byte seen[NA + 1];                      /* ghost: records applied, as bits */
byte arun[NA + 1];                      /* ghost: the run whose records are applied */

/* ---- the workers' disks and processes ------------------------------------------------------------------------- */
byte sp[NW] = 1;                        /* id of the spool */
bool spool[NW * NA];                    /* the job is spooled, its journal exists */
byte jlen[NW * NA];                     /* records written */
byte low[NW * NA];                      /* records below are dropped: the worst worker keeps no acknowledged byte */
byte res[NW * NA];                      /* result in the end record */
byte pend[NW * NA];                     /* runners started that have not yet tried the lock */
bool alive[NW * NA];                      /* a runner holds the lock */
byte starts[NW * NA];                   /* ghost: runs begun of this attempt since the machine's last power cut */
byte runid[NW * NA];                    /* ghost: which run wrote the journal */
byte runs;
#if RESTORES > 0
byte era = 1;                           /* epoch: the master's history; a restore begins another */
byte aera[NA + 1];                      /* the epoch in which an attempt was offered */
byte sera[NW * NA];                     /* ghost: the same, for a spooled job */
#define ERA(b) aera[b]
#else
#define ERA(b) 0
#endif
#if RESTORES > 0 && !defined(BUG_REOFFER_RESTORED)
#define OLD_ERA(b) (aera[b] != era)     /* offered before a restore: it may have run in the history that is lost */
#else
#define OLD_ERA(b) false
#endif
bool held[NW * NA];                     /* spool of an attempt unknown to a restored master: kept, never counted */

byte faults = FAULTS;
bool cancelled;
byte restores = RESTORES;

/* A lost connection: what was under way is lost, or arrives later. */
inline lose(v)
{
    link[v] = false;
    if
    :: len(up[v]) > 0 || len(down[v]) > 0 -> skip
    :: true ->
        do :: len(up[v]) > 0 -> up[v]?_, _, _, _, _, _ :: len(up[v]) == 0 -> break od;
        do :: len(down[v]) > 0 -> down[v]?_, _, _, _ :: len(down[v]) == 0 -> break od
    fi
}

/* ---- master -------------------------------------------------------------------------------------------------------- */
/* Where this turn dies: 0 not at all, 1 before its commit, 2 after the commit and before its effects leave. */
inline fate()
{
    if
    :: faults > 0 -> faults--; die = 1
    :: faults > 0 -> faults--; die = 2
    :: die = 0
    fi
}

inline finish()
{
    build = DONE;
    assert(counted == 0);               /* a result is counted once */
    counted++
}

/* The current attempt is over without a result of the code's: retry, or give up as exception. */
inline retry()
{
    if
    :: next > NA -> finish()
    :: else -> build = QUEUED
    fi
}

/* Is attempt b known, and is what the hello lists its journal? */
#define OURS(b) (astate[b] != NONE && aworker[b] == w && aspool[b] == y)
/* The machine lost its tail, or the spool dropped what a restored master still needs. The hello says both; within its session
 * neither changes before it is read. */
#define SHORT(b) (jlen[IX(w, b)] < off[b] || low[IX(w, b)] > off[b])

inline on_hello()                       /* rules 2 */
{
    if
#ifndef BUG_NO_SESSION
    :: s < sess[w] -> skip              /* of an older session */
#endif
    :: else ->
        fate();
        if :: die == 1 -> goto restart :: else fi;
        sess[w] = s; msp[w] = y;
        if :: build == OPEN && OURS(cur) -> missing = false :: else fi;
        for (a : 1 .. NA) {             /* the transaction: closed as lost */
            if
            :: (x & BIT(a)) && OURS(a) && astate[a] != LOST && off[a] < R && SHORT(a) ->
                if :: astate[a] == LIVE -> retry() :: else fi;
                astate[a] = LOST
#ifndef BUG_REOFFER_STARTED
            :: !(x & BIT(a)) && OURS(a) && astate[a] == LIVE && (off[a] > 0 || OLD_ERA(a)) ->
                astate[a] = FENCED; retry()
#endif
            :: else
            fi
        }
        if :: die == 2 -> goto restart :: else fi;
        for (a : 1 .. NA) {             /* the effects, all derived from rows */
            if
            :: (x & BIT(a)) && !OURS(a) ->
                assert(RESTORES > 0);   /* only a restored master meets work that it does not know */
                held[IX(w, a)] = true   /* verdict hold: kept, not shipped, never counted */
            :: (x & BIT(a)) && OURS(a) && astate[a] == LOST -> held[IX(w, a)] = true
            :: (x & BIT(a)) && OURS(a) && astate[a] != LOST && off[a] == R -> down[w]!FORGET(s, a, 0)
            :: (x & BIT(a)) && OURS(a) && astate[a] != LOST && off[a] < R ->
                down[w]!RESUME(s, a, off[a]);
                if :: astate[a] != LIVE -> down[w]!CANCEL(s, a, 0) :: else fi
#ifndef BUG_NO_REOFFER
            :: !(x & BIT(a)) && OURS(a) && astate[a] == LIVE -> down[w]!JOB(s, a, ERA(a))
#endif
            :: else
            fi
        }
    fi
}

/* Not the journal that we know: closed for good, held, not resumed. */
#if RESTORES > 0
#define HEADER(b) (sera[IX(w, b)] == aera[b])
#else
#define HEADER(b) true
#endif
#ifdef BUG_NO_CHAIN
#define CHAIN(b) HEADER(b)
#else
#define CHAIN(b) (x == 0 -> HEADER(b) : arun[b] == z)
#endif

inline on_journal()
{
    if
#ifndef BUG_NO_SESSION
    :: s != sess[w] -> skip
#endif
    :: else ->
        if
        :: astate[a] == LOST -> skip    /* resync said hold */
#ifndef BUG_NO_OFFSET
        :: astate[a] != LOST && x == off[a] && !CHAIN(a) ->
            fate();
            if :: die == 1 -> goto restart :: else fi;
            if :: astate[a] == LIVE -> retry() :: else fi;
            astate[a] = LOST;
            if :: die == 2 -> goto restart :: else fi;
            held[IX(w, a)] = true;
            down[w]!CANCEL(s, a, 0)
#endif
#ifdef BUG_NO_OFFSET
        :: astate[a] != LOST ->
#else
        :: astate[a] != LOST && x == off[a] && CHAIN(a) ->
#endif
            fate();
#ifdef BUG_ACK_BEFORE_COMMIT
            down[w]!ACK(s, a, x + 1);
#endif
#ifdef BUG_FORGET_BEFORE_COMMIT
            if :: x + 1 == R -> down[w]!FORGET(s, a, 0) :: else fi;
#endif
            if :: die == 1 -> goto restart :: else fi;
            assert(!(seen[a] & BIT(x)));                    /* nothing is applied twice */
            assert(x == 0 || (seen[a] & BIT(x - 1)));       /* no record is skipped */
            assert(x == 0 || arun[a] == z);                 /* never half of one run and half of another */
#if RESTORES > 0
            assert(sera[IX(w, a)] == aera[a]);              /* an id never means two pieces of work */
#endif
            seen[a] = seen[a] | BIT(x);
            arun[a] = z;
            off[a] = x + 1;
            if
#ifdef BUG_NO_FENCE
            :: x + 1 == R ->
#else
            :: x + 1 == R && a == cur && astate[a] == LIVE ->
#endif
                astate[a] = ENDED;
                if :: y == GREEN -> finish() :: else -> retry() fi
            :: else
            fi;
            if :: die == 2 -> goto restart :: else fi;
#ifndef BUG_ACK_BEFORE_COMMIT
            down[w]!ACK(s, a, off[a]);
#endif
#ifndef BUG_FORGET_BEFORE_COMMIT
            if :: off[a] == R -> down[w]!FORGET(s, a, 0) :: else fi
#endif
#ifndef BUG_NO_OFFSET
        :: astate[a] != LOST && x < off[a] -> down[w]!ACK(s, a, off[a]) /* seen before */
        :: astate[a] != LOST && x > off[a] -> skip          /* a gap is never jumped */
#endif
        fi
    fi
}

inline receive()
{
    up[w]?k, s, a, x, y, z;
    if
    :: k == HELLO -> on_hello()
    :: k == JOURNAL -> on_journal()
    fi
}

/* Offer the build to w. An attempt taken for lost is fenced in the very transaction that offers the next. */
inline dispatch()
{
    fate();
    if :: die == 1 -> goto restart :: else fi;
    if :: build == OPEN -> astate[cur] = FENCED :: else fi;
    cur = next;
    next++;
    astate[cur] = LIVE;
    aworker[cur] = w;
    aspool[cur] = msp[w];
    off[cur] = 0;
    seen[cur] = 0;
#if RESTORES > 0
    aera[cur] = era;
#endif
    build = OPEN;
    missing = false;
    if :: die == 2 -> goto restart :: else fi;
    down[w]!JOB(sess[w], cur, ERA(cur))
}

#define MAY_OFFER(v) (next <= NA && sess[v] > 0 && ROOM(v) && \
                      (build == QUEUED || (build == OPEN && missing && aworker[cur] != v)))

active proctype Master()
{
    byte s, a, x, y, z, w, die;
    byte sess[NW], msp[NW];             /* sessions, and their spools, live in memory only */
    bool missing;                       /* cur's worker has been silent for lost_after */
    mtype k;
#if RESTORES > 0
    bool saved;
    mtype b_build; byte b_cur, b_next, b_counted;
    mtype b_astate[NA + 1]; byte b_aworker[NA + 1], b_off[NA + 1], b_seen[NA + 1], b_arun[NA + 1], b_aera[NA + 1], b_aspool[NA + 1];
#endif
restart:
    atomic {
        missing = false;
        for (w : 0 .. NW - 1) {
            sess[w] = 0; msp[w] = 0;
            if :: link[w] -> lose(w) :: else fi
        }
        s = 0; a = 0; x = 0; y = 0; z = 0; w = 0; die = 0; k = 0
    }
end:
    do
    :: atomic { len(up[0]) > 0 && ROOM(0) -> w = 0; receive(); s = 0; a = 0; x = 0; y = 0; z = 0; w = 0; k = 0 }
#if NW > 1
    :: atomic { len(up[1]) > 0 && ROOM(1) -> w = 1; receive(); s = 0; a = 0; x = 0; y = 0; z = 0; w = 0; k = 0 }
#endif
    :: atomic { MAY_OFFER(0) -> w = 0; dispatch(); w = 0 }
#if NW > 1
    :: atomic { next > 1 && MAY_OFFER(1) -> w = 1; dispatch(); w = 0 } /* the first goes to 0: workers are alike */
#endif
    :: atomic { build == OPEN && missing && next > NA -> astate[cur] = FENCED; finish(); missing = false }
    /* its worker came back with another spool: nobody else could bring that attempt to an end */
    :: atomic { build == OPEN && sess[aworker[cur]] > 0 && msp[aworker[cur]] != aspool[cur] ->
        astate[cur] = FENCED; missing = false; retry() }
    :: atomic { faults > 0 && build == OPEN && !missing -> /* silence: the session ends, the attempt may go elsewhere */
        faults--; w = aworker[cur]; sess[w] = 0; missing = true;
        if :: link[w] -> lose(w) :: else fi; w = 0 }
    :: atomic { faults > 0 -> faults--; goto restart }
#ifdef CANCEL_TOO
    :: atomic { !cancelled && build != DONE && (build == QUEUED || ROOM(aworker[cur])) ->
        cancelled = true;
        if
        :: build == OPEN -> astate[cur] = FENCED; missing = false; w = aworker[cur];
            if :: sess[w] > 0 -> down[w]!CANCEL(sess[w], cur, 0) :: else fi; w = 0
        :: else
        fi;
        finish() }
#endif
#if RESTORES > 0
    :: d_step { !saved && restores > 0 -> saved = true;
        b_build = build; b_cur = cur; b_next = next; b_counted = counted;
        for (a : 1 .. NA) { b_astate[a] = astate[a]; b_aworker[a] = aworker[a]; b_off[a] = off[a]; b_seen[a] = seen[a];
            b_arun[a] = arun[a]; b_aera[a] = aera[a]; b_aspool[a] = aspool[a] }
        a = 0 }
    :: atomic { saved && restores > 0 -> restores--;
        build = b_build; cur = b_cur; counted = b_counted;
#ifdef BUG_NO_EPOCH
        next = b_next;                  /* ids are used again for other work */
#endif
        for (a : 1 .. NA) { astate[a] = b_astate[a]; aworker[a] = b_aworker[a]; off[a] = b_off[a]; seen[a] = b_seen[a];
            arun[a] = b_arun[a]; aera[a] = b_aera[a]; aspool[a] = b_aspool[a] }
        era++;
        goto restart }
    :: atomic { build == QUEUED && next > NA -> finish() } /* ids used up by the skip */
#endif
    od
}

/* ---- worker ----------------------------------------------------------------------------------------------------- */
#define SHIP(v, b) (ship[b] && sent[b] < jlen[IX(v, b)] && nfull(up[v]) && link[v])

inline send_record(b)
{
    up[w]!JOURNAL(s, b, sent[b], res[IX(w, b)], runid[IX(w, b)]);
    sent[b]++
}

inline drop(b)                          /* the spool of an attempt goes */
{
    spool[IX(w, b)] = false; jlen[IX(w, b)] = 0; low[IX(w, b)] = 0; res[IX(w, b)] = 0; held[IX(w, b)] = false;
    ship[b] = false; sent[b] = 0; spawned[b] = false;
    runid[IX(w, b)] = 0
}

inline on_down()
{
    down[w]?k, t, a, x;
    if
#ifndef BUG_NO_SESSION
    :: t != s -> skip
#endif
    :: else ->
        if
        :: k == JOB && !spool[IX(w, a)] ->
            spool[IX(w, a)] = true; ship[a] = true; sent[a] = 0
#if RESTORES > 0
            sera[IX(w, a)] = x
#endif
        :: k == JOB && spool[IX(w, a)] -> ship[a] = true    /* doubled: nothing starts */
#ifdef BUG_NO_OFFSET
        :: k == RESUME && spool[IX(w, a)] -> ship[a] = true; sent[a] = low[IX(w, a)] /* what it believes itself */
#else
        :: k == RESUME && spool[IX(w, a)] ->
            assert(x >= low[IX(w, a)]); /* nobody asks for what was acknowledged: a restored master closed it as lost */
            ship[a] = true; sent[a] = x
#endif
        :: k == ACK && spool[IX(w, a)] ->
            assert(RESTORES > 0 || off[a] >= x); /* acknowledged means durable */
            if :: x > low[IX(w, a)] -> low[IX(w, a)] = x :: else fi
        :: k == FORGET && spool[IX(w, a)] ->
            assert(RESTORES > 0 || off[a] == R); /* no journal goes before all of it is durable at the master */
            drop(a)
        :: k == CANCEL && spool[IX(w, a)] && jlen[IX(w, a)] < R -> /* killed; the agent closes the journal */
            alive[IX(w, a)] = false; jlen[IX(w, a)] = R; res[IX(w, a)] = EXCEPTION;
            if :: runid[IX(w, a)] == 0 -> runs++; runid[IX(w, a)] = runs :: else fi
        :: else
        fi
    fi
}

/* What the agent does by itself for a spooled job: start it once; close the journal of a dead runner. */
#define MAY_SPAWN(v, b) (spool[IX(v, b)] && jlen[IX(v, b)] == 0 && !spawned[b])
#define DEAD(v, b) (spool[IX(v, b)] && jlen[IX(v, b)] > 0 && jlen[IX(v, b)] < R && !alive[IX(v, b)])

/* The power goes: of each journal any beginning is left, or none of the entry. No process is left, so what had begun and left no
 * trace, here or at the master, may begin again under its number (docs/architecture.md). What stands behind an offset that the
 * master has is another journal by its chain. */
inline power_cut(b)
{
    alive[IX(w, b)] = false; pend[IX(w, b)] = 0; starts[IX(w, b)] = 0;
    if
    :: spool[IX(w, b)] ->
        x = 0;
        do :: x < jlen[IX(w, b)] -> x++ :: true -> break od;
        if
        :: x == 0 -> drop(b)
        :: x == 0 -> jlen[IX(w, b)] = 0; res[IX(w, b)] = 0; runid[IX(w, b)] = 0
        :: x > 0 ->
            jlen[IX(w, b)] = x;
            if :: x < R -> res[IX(w, b)] = 0 :: else fi;
            if :: aworker[b] == w && off[b] > x -> runs++; runid[IX(w, b)] = runs :: else fi
        fi
    :: else
    fi;
    x = 0
}

proctype Agent(byte w)
{
    byte s, t, a, x;
    byte sent[NA + 1];
    bool ship[NA + 1], spawned[NA + 1]; /* memory only: a new agent knows nothing but the spool */
    mtype k;
restart:
    atomic {
        if :: link[w] -> lose(w) :: else fi;
        for (a : 1 .. NA) { spawned[a] = false }
        s = 0; t = 0; x = 0; k = 0; a = 0
    }
end:
    do
    :: atomic { !link[w] && nfull(up[w]) -> /* a new session; nothing of the old one is believed */
        nsess[w]++; s = nsess[w]; link[w] = true; x = 0;
        for (a : 1 .. NA) {
            ship[a] = false; sent[a] = 0;
            if :: spool[IX(w, a)] -> x = x | BIT(a) :: else fi
        }
        up[w]!HELLO(s, 0, x, sp[w], 0); x = 0; a = 0 }
    :: atomic { len(down[w]) > 0 -> on_down(); k = 0; t = 0; a = 0; x = 0 }
    :: atomic { SHIP(w, 1) -> send_record(1) }
    :: atomic { MAY_SPAWN(w, 1) -> spawned[1] = true; pend[IX(w, 1)]++ }
    :: atomic { DEAD(w, 1) -> jlen[IX(w, 1)] = R; res[IX(w, 1)] = EXCEPTION }
#if NA > 1
    :: atomic { SHIP(w, 2) -> send_record(2) }
    :: atomic { MAY_SPAWN(w, 2) -> spawned[2] = true; pend[IX(w, 2)]++ }
    :: atomic { DEAD(w, 2) -> jlen[IX(w, 2)] = R; res[IX(w, 2)] = EXCEPTION }
#endif
#if NA > 2
    :: atomic { SHIP(w, 3) -> send_record(3) }
    :: atomic { MAY_SPAWN(w, 3) -> spawned[3] = true; pend[IX(w, 3)]++ }
    :: atomic { DEAD(w, 3) -> jlen[IX(w, 3)] = R; res[IX(w, 3)] = EXCEPTION }
#endif
    :: atomic { faults > 0 -> faults--; goto restart }
    :: atomic { faults > 0 -> faults--;   /* the machine comes back with an empty disk */
        sp[w]++;
        for (a : 1 .. NA) { drop(a); alive[IX(w, a)] = false; pend[IX(w, a)] = 0 }
        goto restart }
    :: atomic { faults > 0 -> faults--;
        for (a : 1 .. NA) { power_cut(a) }
        goto restart }
    od
}

/* The runner: lock, look for a start record, run. It needs nobody from then on. */
inline begin(b)
{
    pend[IX(w, b)]--;
    if
#ifdef BUG_LOCK_ONLY
    :: spool[IX(w, b)] && !alive[IX(w, b)] ->
#else
    :: spool[IX(w, b)] && !alive[IX(w, b)] && jlen[IX(w, b)] == 0 ->
#endif
        starts[IX(w, b)]++;
        assert(starts[IX(w, b)] <= 1);  /* a job never starts twice */
        runs++; runid[IX(w, b)] = runs;
        alive[IX(w, b)] = true; jlen[IX(w, b)] = 1
    :: else
    fi
}

inline step(b)
{
    jlen[IX(w, b)]++;
    if
    :: jlen[IX(w, b)] == R -> res[IX(w, b)] = GREEN; alive[IX(w, b)] = false
    :: else
    fi
}

proctype Runner(byte w)
{
end:
    do
    :: atomic { pend[IX(w, 1)] > 0 -> begin(1) }
    :: atomic { alive[IX(w, 1)] -> step(1) }
    :: atomic { alive[IX(w, 1)] && faults > 0 -> faults--; alive[IX(w, 1)] = false }
#if NA > 1
    :: atomic { pend[IX(w, 2)] > 0 -> begin(2) }
    :: atomic { alive[IX(w, 2)] -> step(2) }
    :: atomic { alive[IX(w, 2)] && faults > 0 -> faults--; alive[IX(w, 2)] = false }
#endif
#if NA > 2
    :: atomic { pend[IX(w, 3)] > 0 -> begin(3) }
    :: atomic { alive[IX(w, 3)] -> step(3) }
    :: atomic { alive[IX(w, 3)] && faults > 0 -> faults--; alive[IX(w, 3)] = false }
#endif
    od
}

/* ---- the network's malice ----------------------------------------------------------------------------------- */
proctype Net(byte w)
{
    mtype k;
    byte s, a, x, y, z;
end:
    do
    :: atomic { faults > 0 && link[w] -> faults--; lose(w) }
    :: atomic { faults > 0 && len(up[w]) > 0 -> /* an old message falls behind, or comes twice */
        up[w]?<k, s, a, x, y, z>;
        if
        :: s < nsess[w] && len(up[w]) < 2 ->
            faults--;
            if :: true -> up[w]?k, s, a, x, y, z :: true fi;
            up[w]!k, s, a, x, y, z
        :: else
        fi;
        k = 0; s = 0; a = 0; x = 0; y = 0; z = 0 }
    :: atomic { faults > 0 && len(down[w]) > 0 ->
        down[w]?<k, s, a, x>;
        if
        :: s < nsess[w] && len(down[w]) < CAP ->
            faults--;
            if :: true -> down[w]?k, s, a, x :: true fi;
            down[w]!k, s, a, x
        :: else
        fi;
        k = 0; s = 0; a = 0; x = 0 }
    od
}

init
{
    byte w;
    atomic {
        for (w : 0 .. NW - 1) { run Agent(w); run Runner(w); run Net(w) }
        w = 0
    }
end:
    do :: next > 0 od                   /* time goes on: nothing is ever quite still */
}

/* ---- claims --------------------------------------------------------------------------------------------------------- */
#define EMPTY(i) (!spool[i] || held[i])
#if NW * NA == 4
#define CLEAN (EMPTY(0) && EMPTY(1) && EMPTY(2) && EMPTY(3))
#elif NW * NA == 3
#define CLEAN (EMPTY(0) && EMPTY(1) && EMPTY(2))
#elif NW * NA == 6
#define CLEAN (EMPTY(0) && EMPTY(1) && EMPTY(2) && EMPTY(3) && EMPTY(4) && EMPTY(5))
#else
#define CLEAN (EMPTY(0) && EMPTY(1))
#endif

ltl once { [] (counted <= 1 && (build == DONE -> counted == 1)) }  /* a result is counted once, and is never lost */
ltl ends { <> (build == DONE) }                                   /* every accepted request ends */
ltl tidy { <> [] CLEAN }                                          /* every journal is shipped in full and forgotten */
