/* Pawl: moving a protected branch of a remote repository (promotion and landing are the same act).
 *
 * An intent row (ref, old, new) is committed first; then the very object is pushed with a lease on old; then the
 * outcome is recorded. The rules are those of docs/protocol-rules.md 8.
 * What is real:     the master's rows and the order of its transactions; the push as a child that may outlive a killed
 *                   master; the compare-and-swap of the server; an answer that may be lost.
 * What is abstract: a commit is the set of commits it contains, as bits; "contains" is what git calls ancestor or equal.
 * Faults: kill -9 of the master at any point and pushes that outlive their deadline (CRASH), lost answers, pushes by
 * others that go forward (EXT), a rewind by others (REWIND), a kill switch (-DSWITCH).
 * -DMARKER: the push also creates a marker ref of the intent, in one atomic push.
 * -DBUG_... plants a mistake that the checks must find; README.md lists them.
 */
#ifndef CRASH
#define CRASH 2
#endif
#ifndef EXT
#define EXT 1
#endif
#ifndef REWIND
#define REWIND 0
#endif
#ifndef TRIES
#define TRIES 3                         /* intents per run, bounds the search */
#endif

/* master: c1 on base, c2 on c1, c3 on c2; c2 was never built. Commits of others on the target are the bits above. */
#define BASE 1
#define C1 3
#define C2 7
#define C3 15
#define FOREIGN(n) (16 << (n))
#define CONTAINS(big, small) (((big) & (small)) == (small))
#define GREEN(c) ((c) == C1 || ((c) == C3 && c3_green))

mtype = { NONE, PREPARED, PUSHED, DONE, ABANDONED, LOST_RACE };

/* ---- the remote ---------------------------------------------------------------------------------------------------- */
byte tip = BASE;                        /* the protected branch */
byte source = C1;                       /* the branch that is watched; others push to it */
byte marker;                            /* -DMARKER: marker refs that exist at the remote, as bits of intent ids */
bool c3_green;

/* ---- the master's disk --------------------------------------------------------------------------------------------- */
byte id;                                /* of the newest intent; one open intent per ref */
mtype state = NONE;
byte old, new;
byte recorded;                          /* promotion rows, as bits of intent ids */
bool paused;                            /* the branch waits for a person */
bool off;                               /* kill switch */

/* ---- children that push; they may outlive the master that started them: id, old, new ------------------------------- */
chan pushes = [2] of { byte, byte, byte };
mtype = { NO_ANSWER, OK, REFUSED };
mtype answer = NO_ANSWER;               /* of the newest push; a new master never hears it */

byte effect;                            /* ghost: intents whose push took effect, as bits */
byte known;                             /* ghost: intents whose OK was recorded, as bits */
byte crash = CRASH, ext = EXT, rewind = REWIND;

#ifdef MARKER
#define WAS_THERE ((marker & (1 << id)) != 0)
#else
#define WAS_THERE false
#endif
#define OPEN_INTENT (state == PREPARED || state == PUSHED)
#define ARRIVED ((state == ABANDONED || state == LOST_RACE) && CONTAINS(tip, new))
#ifdef BUG_ABANDON_FORGETS
#define LATE false
#elif defined(MARKER)
#define LATE (!OPEN_INTENT && (ARRIVED || (marker & ~recorded) != 0))
#else
#define LATE ARRIVED
#endif
#define IDLE atomic { t = 0; c = 0 }
#define KILL if :: atomic { crash > 0 -> crash--; goto restart } :: true fi

/* The server: a compare-and-swap of the ref under its lock. Children end in any order. */
active proctype Server()
{
    byte i, o, n;
end:
    do
    :: atomic { len(pushes) > 0 ->
        if
        :: true
        :: len(pushes) > 1 -> pushes?i, o, n; pushes!i, o, n
        fi;
        pushes?i, o, n;
#ifdef BUG_PUSH_BRANCH_NAME
        n = source;                     /* "push master:stable" moves to whatever is there by now */
#endif
        if
#ifdef BUG_NO_LEASE
        :: true ->
#elif defined(MARKER)
        :: tip == o && !(marker & (1 << i)) ->      /* push --atomic, with a lease on both refs */
#else
        :: tip == o ->
#endif
            assert(GREEN(n));                       /* what was promoted was built and green, itself */
            assert(CONTAINS(n, tip));               /* nothing of others is thrown away */
            assert(!(effect & (1 << i)));           /* an intent takes effect at most once */
            tip = n;
            effect = effect | (1 << i);
            marker = marker | (1 << i);
            if :: i == id -> answer = OK :: true fi /* or the answer is lost */
#ifndef BUG_NO_LEASE
        :: else ->
            if :: i == id -> answer = REFUSED :: true fi
#endif
        fi;
        i = 0; o = 0; n = 0 }
    od
}

/* People and other programs. */
active proctype Others()
{
end:
    do
    :: tip > 0                                      /* time goes on: nothing is ever quite still */
    :: atomic { source == C1 -> source = C2 }       /* the next push to master: not built */
    :: atomic { source == C2 -> source = C3 }
    :: atomic { source == C3 && !c3_green -> c3_green = true }
    :: atomic { ext > 0 -> tip = tip | FOREIGN(ext); ext-- }    /* somebody pushes to the target */
    :: atomic { ext > 0 && CONTAINS(C1, tip) -> tip = C1; ext-- } /* somebody promotes by hand */
    :: atomic { rewind > 0 && tip != BASE -> tip = BASE; rewind-- }
#ifdef SWITCH
    :: atomic { !off -> off = true }                /* a person turns the kill switch */
#endif
    od
}

/* Newest green revision that goes forward from t; 0 when there is none. */
inline choose(t)
{
    if
    :: GREEN(C3) && CONTAINS(C3, t) && t != C3 -> c = C3
    :: !(GREEN(C3) && CONTAINS(C3, t)) && CONTAINS(C1, t) && t != C1 -> c = C1
    :: else -> c = 0
    fi
}

inline close(how)
{
    if
    :: how == DONE ->
        assert(!(recorded & (1 << id)));            /* one row per promotion */
        recorded = recorded | (1 << id)
    :: else
    fi;
    state = how
}

/* Look at the ref first, then decide: after a restart, a lost answer, any answer. */
inline resolve()
{
    t = tip;                            /* ls-remote */
    if
    :: CONTAINS(t, new) -> close(DONE)
    :: !CONTAINS(t, new) && state == PUSHED ->      /* it was there and others took it away */
#ifdef BUG_REPUSH
        state = PREPARED
#else
        paused = true; close(DONE)
#endif
    :: !CONTAINS(t, new) && state == PREPARED && WAS_THERE -> paused = true; close(DONE)
    :: t == old && state == PREPARED && !WAS_THERE -> /* not there: push, or give up */
        if
        :: off -> state = ABANDONED
        :: else
        fi
    :: !CONTAINS(t, new) && t != old && state == PREPARED && !WAS_THERE -> close(LOST_RACE)
    fi;
    t = 0
}

active proctype Master()
{
    byte t, c;
restart:
    atomic { t = 0; c = 0; answer = NO_ANSWER }
#ifdef BUG_DROP_INTENT
    atomic { if :: state == PREPARED -> state = NONE :: else fi }   /* "unknown, so begin afresh" */
#endif
end:
    do
    :: atomic { !paused && !off && !OPEN_INTENT && !LATE && id < TRIES -> t = tip; choose(t) } /* fetched: may be old already */
        if
        :: c == 0 -> IDLE
        :: else ->
            KILL;
#ifdef BUG_RECORD_BEFORE_PUSH
            atomic { id++; old = t; new = c; close(DONE); t = 0; c = 0 }
            KILL;
            atomic { nfull(pushes) -> pushes!id, old, new }
#elif defined(BUG_PUSH_BEFORE_INTENT)
            atomic { nfull(pushes) -> pushes!id + 1, t, c }
            KILL;
            atomic { id++; old = t; new = c; state = PREPARED; t = 0; c = 0 }
#else
            atomic { id++; old = t; new = c; state = PREPARED; t = 0; c = 0 }   /* the transaction */
#endif
            KILL
        fi
    :: OPEN_INTENT ->
        atomic { resolve() }
        KILL;
        if
        :: state == PREPARED ->
            atomic { nfull(pushes) ->
                assert(!(known & (1 << id)));       /* what is known to have arrived is never pushed again */
                pushes!id, old, new; answer = NO_ANSWER }
            KILL;
            if
            :: atomic { answer == OK -> state = PUSHED; known = known | (1 << id); answer = NO_ANSWER }
            :: atomic { answer == REFUSED -> answer = NO_ANSWER }
            :: empty(pushes) && answer == NO_ANSWER             /* ended without an answer */
            :: crash > 0                                        /* deadline: it may still be under way */
            fi;
            KILL
        :: else
        fi
    /* A push that was given up may still arrive: each poll first looks at closed intents. A marker ref without a row gets
     * its row, and a person looks. */
    :: atomic { LATE ->
        if
        :: ARRIVED -> close(DONE)
        :: !ARRIVED ->
            recorded = recorded | marker; paused = true;
            if :: recorded & (1 << id) -> state = DONE :: else fi
        fi }
    :: atomic { crash > 0 -> crash--; goto restart }
    od
}

/* ---- claims -------------------------------------------------------------------------------------------------------- */
/* A promotion that was recorded happened: the ref holds it, or a person was called because others took it away. */
ltl true_rows { [] ((state == DONE) -> (CONTAINS(tip, new) || paused || rewind < REWIND)) }
/* In the end every push that took effect has its row, and no intent stays open. */
ltl settled { <> [] ((effect & ~recorded) == 0 && !OPEN_INTENT) }
/* A revision that becomes green arrives, unless others went elsewhere, the switch is on, or a person was called. */
ltl arrives { (<> c3_green) -> (<> (paused || off || tip == C3 || (tip & 240) != 0 || id == TRIES)) }
