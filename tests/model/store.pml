/* Pawl: log bytes in files, offsets in SQLite, and a power cut of the master's machine at any moment.
 *
 * One log. The journal is a run of N log bytes and then the end record. The master writes log bytes to a file (page cache),
 * commits `applied` with every turn, and learns from another thread that the file was synced. The rules are docs/protocol-rules.md 5.
 * A power cut keeps of the file any mix of the bytes not synced; SQLite keeps exactly what was committed (FULL).
 * The worker drops what is acknowledged and may lose its machine too, once it holds nothing that is not acknowledged.
 */
#ifndef N
#define N 3                             /* log bytes */
#endif
#ifndef CUTS
#define CUTS 2                          /* power cuts */
#endif
#define ALL ((1 << N) - 1)

/* disk */
byte file;                              /* bytes of the log that are right on disk, as bits */
byte stored;                            /* committed: the worker may drop what is below */
byte applied;                           /* committed: state of records below is applied */
bool done;                              /* committed: the result is visible */
/* memory */
byte cache;                             /* bytes that a reader sees, as bits; file is what survives */
byte w_off;                             /* what is written so far */
byte syncing, synced;                   /* a sync of all below `syncing` runs; all below `synced` is on disk */
bool busy;
/* the worker */
byte acked;
byte cuts = CUTS;

#define MASK(n) ((1 << (n)) - 1)
#define HAS(set, n) (((set) & MASK(n)) == MASK(n))

active proctype Master()
{
    byte i;
restart:
    atomic {
        cache = file; busy = false; syncing = 0; synced = stored;
#ifdef BUG_TRUST_EOF
        w_off = 0;                      /* "the file is this long, so I have these bytes" */
        do :: w_off < N && (file >> w_off) != 0 -> w_off++ :: else -> break od;
        synced = w_off
#else
        w_off = stored                  /* ask again from what is stored; write at the record's own position */
#endif
    }
end:
    do
    :: atomic { w_off < N && w_off >= acked ->      /* a record arrives: written, not yet safe */
        cache = cache | (1 << w_off); w_off++;
        if :: w_off > applied -> applied = w_off :: else fi /* state may be applied at once, in this turn's commit */
        }
    :: atomic { !busy && synced < w_off -> busy = true; syncing = w_off }
    :: atomic { busy -> file = file | (cache & MASK(syncing)); synced = syncing; busy = false } /* fdatasync is back */
#ifdef BUG_COMMIT_FIRST
    :: atomic { stored < w_off -> stored = w_off }
#else
    :: atomic { stored < synced -> stored = synced } /* data before the row that speaks of it */
#endif
#ifdef BUG_ACK_APPLIED
    :: atomic { acked < applied -> acked = applied }
#else
    :: atomic { acked < stored -> acked = stored }  /* the acknowledgement follows the commit */
#endif
#ifdef BUG_END_EARLY
    :: atomic { !done && applied == N -> done = true }
#else
    :: atomic { !done && stored == N -> done = true } /* the end record waits until all before it is stored */
#endif
    :: atomic { cuts > 0 -> cuts--;     /* power cut: any of the unsynced bytes may have reached the disk */
        i = 0;
        do
        :: i < N ->
            if
            :: (cache & (1 << i)) -> file = file | (1 << i)
            :: true
            fi;
            i++
        :: else -> break
        od;
        i = 0; goto restart }
    od
}

/* After every step: what the worker may have dropped is on disk here; a visible result has its whole log on disk. */
ltl acked_is_safe { [] HAS(file, acked) }
ltl result_is_whole { [] (done -> HAS(file, N)) }
ltl arrives { <> done }

active proctype Time()
{
end:
    do :: file <= ALL od                /* time goes on: nothing is ever quite still */
}
