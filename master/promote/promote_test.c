#include "master/promote/promote.h"

#include <stdint.h>
#include <string.h>

#include "tests/tap.h"

#define CAND_MAX 8
#define B_MAX 4

/* A case in letters. A candidate is a word, newest first: one letter a builder; a leading `-` says
 * that it does not contain `to`. G success, R failure, r failure and built again, . never built, o
 * running, W warnings, w warnings and running, E exception, S skipped, C cancelled, T retry, g
 * success and built again, x not filled in. */
typedef struct row {
    const char *name;
    const char *flags; /* f: from absent, t: to absent, s: same, a: to ahead, d: diverged, w:
                          warnings allowed */
    const char *cands;
    promote_kind kind;
    size_t candidate;
    const char *reason;
} row;

static const row rows[] = {
    {"all green tip", "", "GG G.", PROMOTE_MOVE, 0,
     "\"stable\" moves to a000000: all 2 builders are green there"},
    {"one builder", "", "G", PROMOTE_MOVE, 0,
     "\"stable\" moves to a000000: builder \"fast\" is green there"},
    {"missing is unknown", "", "G.", PROMOTE_WAIT, 0,
     "waiting: builder \"slow\" has no result at a000000"},
    {"all missing: the first is named", "", "..", PROMOTE_WAIT, 0,
     "waiting: builder \"fast\" has no result at a000000"},
    {"running", "", "Go", PROMOTE_WAIT, 0, "waiting: builder \"slow\" is not done at a000000"},
    {"red", "", "RG", PROMOTE_WAIT, 0, "builder \"fast\" is red at a000000"},
    {"red says more than missing", "", ".R", PROMOTE_WAIT, 0, "builder \"slow\" is red at a000000"},
    {"red and built again", "", "rG", PROMOTE_WAIT, 0,
     "builder \"fast\" is red at a000000, and is built again"},
    {"green and built again is green", "", "gG", PROMOTE_MOVE, 0,
     "\"stable\" moves to a000000: all 2 builders are green there"},
    {"newer red does not hide older green", "", "RG GG", PROMOTE_MOVE, 1,
     "\"stable\" moves to b000000: all 2 builders are green there"},
    {"newer unknown does not hide older green", "", "G. .. GG", PROMOTE_MOVE, 2,
     "\"stable\" moves to c000000: all 2 builders are green there"},
    {"newest green wins", "", "GR GG GG", PROMOTE_MOVE, 1,
     "\"stable\" moves to b000000: all 2 builders are green there"},
    {"unfilled behind the winner", "", "R GG xx xx", PROMOTE_MOVE, 1,
     "\"stable\" moves to b000000: all 2 builders are green there"},
    {"green on different revisions is not green", "", "G. .G", PROMOTE_WAIT, 0,
     "waiting: builder \"slow\" has no result at a000000"},
    {"unfilled is unknown", "", "xx", PROMOTE_WAIT, 0,
     "waiting: builder \"?\" has no result at a000000"},
    {"warnings forbidden", "", "GW", PROMOTE_WAIT, 0,
     "builder \"slow\" has warnings at a000000, which are not allowed"},
    {"warnings forbidden, running", "", "Gw", PROMOTE_WAIT, 0,
     "waiting: builder \"slow\" is not done at a000000"},
    {"warnings allowed", "w", "GW", PROMOTE_MOVE, 0,
     "\"stable\" moves to a000000: all 2 builders are green there"},
    {"allowed warnings do not make red green", "w", "WR", PROMOTE_WAIT, 0,
     "builder \"slow\" is red at a000000"},
    {"exception is unknown", "", "GE", PROMOTE_WAIT, 0,
     "waiting: builder \"slow\" ended as exception at a000000, which is neither green nor red"},
    {"skipped is unknown", "w", "SG", PROMOTE_WAIT, 0,
     "waiting: builder \"fast\" ended as skipped at a000000, which is neither green nor red"},
    {"cancelled is unknown", "", "C", PROMOTE_WAIT, 0,
     "waiting: builder \"fast\" ended as cancelled at a000000, which is neither green nor red"},
    {"retry is unknown", "", "GGT", PROMOTE_WAIT, 0,
     "waiting: builder \"lint\" ended as retry at a000000, which is neither green nor red"},
    {"diverged", "d", "GG", PROMOTE_REFUSE, 0,
     "\"stable\" has diverged from \"master\": it will not be moved"},
    {"ahead", "a", "GG", PROMOTE_REFUSE, 0,
     "\"stable\" is ahead of \"master\": it will not be moved"},
    {"ahead without candidates", "a", "", PROMOTE_REFUSE, 0,
     "\"stable\" is ahead of \"master\": it will not be moved"},
    {"same", "s", "", PROMOTE_DONE, 0, "nothing new: \"stable\" is where \"master\" is"},
    {"same although green", "s", "GG", PROMOTE_DONE, 0,
     "nothing new: \"stable\" is where \"master\" is"},
    {"no candidates", "", "", PROMOTE_DONE, 0,
     "nothing new: \"master\" has no revision that \"stable\" lacks"},
    {"from absent", "f", "", PROMOTE_WAIT, 0, "waiting: branch \"master\" does not exist"},
    {"both absent", "ft", "", PROMOTE_WAIT, 0, "waiting: branch \"master\" does not exist"},
    {"to absent: created at the newest green", "t", "R. GG GG", PROMOTE_MOVE, 1,
     "\"stable\" is created at b000000: all 2 builders are green there"},
    {"to absent contains nothing", "t", "-GG", PROMOTE_MOVE, 0,
     "\"stable\" is created at a000000: all 2 builders are green there"},
    {"to absent is not diverged", "td", "GG", PROMOTE_MOVE, 0,
     "\"stable\" is created at a000000: all 2 builders are green there"},
    {"to absent, nothing green", "t", "R.", PROMOTE_WAIT, 0, "builder \"fast\" is red at a000000"},
    {"green, but no fast-forward", "", "G. -GG", PROMOTE_WAIT, 0,
     "waiting: builder \"slow\" has no result at a000000"},
    {"a green one without to is skipped", "", "-GG GG", PROMOTE_MOVE, 1,
     "\"stable\" moves to b000000: all 2 builders are green there"},
    {"none contains to", "", "-GG -GG", PROMOTE_WAIT, 0,
     "waiting: no revision of \"master\" contains \"stable\""},
};

typedef struct facts {
    promote_facts f;
    promote_candidate c[CAND_MAX];
    promote_builder b[CAND_MAX][B_MAX];
} facts;

static const char *const names[B_MAX] = {"fast", "slow", "lint", "docs"};
static const char *const revs[CAND_MAX] = {"a0000000ff", "b0000000ff", "c0000000ff", "d0000000ff",
                                           "e0000000ff", "f0000000ff", "10000000ff", "20000000ff"};

static promote_builder builder_of(char c, size_t i)
{
    static const char letters[] = "GRr.oWwESCTg";
    static const pw_result results[] = {PW_SUCCESS,   PW_FAILURE,   PW_FAILURE,  PW_NO_RESULT,
                                        PW_NO_RESULT, PW_WARNINGS,  PW_WARNINGS, PW_EXCEPTION,
                                        PW_SKIPPED,   PW_CANCELLED, PW_RETRY,    PW_SUCCESS};
    const char *at = strchr(letters, c);

    if (!at) /* as calloc leaves it */
        return (promote_builder){.result = PW_SUCCESS};
    return (promote_builder){
        .name = names[i], .result = results[at - letters], .open = strchr("rowg", c) != NULL};
}

static void facts_make(facts *x, const row *r)
{
    *x = (facts){.f = {.from = "master", .to = "stable"}};
    x->f.from_exists = !strchr(r->flags, 'f');
    x->f.to_exists = !strchr(r->flags, 't');
    x->f.same = strchr(r->flags, 's');
    x->f.to_ahead = strchr(r->flags, 'a');
    x->f.related = !strchr(r->flags, 'd') && !x->f.to_ahead;
    x->f.allow_warnings = strchr(r->flags, 'w');
    x->f.candidate = x->c;
    for (const char *s = r->cands; *s;) {
        size_t n = x->f.n_candidates++;
        size_t k = 0;
        x->c[n] = (promote_candidate){.rev = revs[n], .contains_to = *s != '-', .builder = x->b[n]};
        for (s += *s == '-'; *s && *s != ' '; s++, k++)
            x->b[n][k] = builder_of(*s, k);
        x->f.n_builders = k > x->f.n_builders ? k : x->f.n_builders;
        s += *s == ' ';
    }
}

static void test_table(void)
{
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        const row *r = &rows[i];
        promote_decision d;
        facts x;
        facts_make(&x, r);
        promote_decide(&x.f, &d);
        bool good =
            d.kind == r->kind && d.candidate == r->candidate && strcmp(d.reason, r->reason) == 0;
        ok(good, "%s", r->name);
        if (!good)
            printf("# kind %d candidate %zu: %s\n", (int)d.kind, d.candidate, d.reason);
    }
}

static void test_limits(void)
{
    char longname[600];
    promote_decision d;
    facts x;

    memset(longname, 'n', sizeof(longname) - 1);
    longname[sizeof(longname) - 1] = '\0';
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        facts_make(&x, &rows[i]);
        x.f.from = x.f.to = longname;
        for (size_t c = 0; c < CAND_MAX; c++)
            for (size_t b = 0; b < B_MAX; b++)
                x.b[c][b].name = x.b[c][b].name ? longname : NULL;
        promote_decide(&x.f, &d);
        if (d.kind != rows[i].kind || strlen(d.reason) < 20 ||
            strlen(d.reason) >= sizeof(d.reason) - 1)
            ok(false, "long names: %s", rows[i].name);
    }
    facts_make(&x, &rows[0]);
    x.f.n_builders = 0;
    promote_decide(&x.f, &d);
    ok(d.kind == PROMOTE_WAIT &&
           strcmp(d.reason,
                  "waiting: no builder is required, so nothing can be green at a000000") == 0,
       "no required builder: nothing is green");
}

static uint64_t rng(uint64_t *s)
{
    *s ^= *s << 13;
    *s ^= *s >> 7;
    *s ^= *s << 17;
    return *s;
}

/* What must hold at `i` for a move, said in another way than the rule does. */
static bool may_move(const promote_facts *f, size_t i)
{
    size_t green = 0;
    for (size_t k = 0; k < f->n_builders; k++) {
        const promote_builder *b = &f->candidate[i].builder[k];
        green +=
            b->name && (b->result == PW_SUCCESS || (b->result == PW_WARNINGS && f->allow_warnings));
    }
    return f->n_builders > 0 && green == f->n_builders &&
           (f->candidate[i].contains_to || !f->to_exists);
}

static bool decision_right(const promote_facts *f, const promote_decision *d)
{
    bool open = f->from_exists && (!f->to_exists || (!f->same && !f->to_ahead && f->related));
    size_t best = 0;

    while (best < f->n_candidates && !may_move(f, best))
        best++;
    if (!d->reason[0])
        return false;
    if (d->kind == PROMOTE_MOVE)
        return open && best == d->candidate && best < f->n_candidates;
    if (d->kind == PROMOTE_REFUSE && (f->to_ahead || !f->related) && f->to_exists && f->from_exists)
        return true;
    return d->kind != PROMOTE_REFUSE && !(open && best < f->n_candidates);
}

static void test_property(void)
{
    static const char letters[] = "GGGGGGgRr.oWwESCTx";
    uint64_t seed = 88172645463325252u;
    size_t moved = 0, wrong = 0, waited = 0;

    for (int n = 0; n < 100000; n++) {
        facts x = {.f = {.from = "master", .to = "stable"}};
        promote_decision d;
        uint64_t bits = rng(&seed);
        x.f.from_exists = bits % 16 != 0;
        x.f.to_exists = (bits >> 4) % 4 != 0;
        x.f.same = (bits >> 8) % 16 == 0;
        x.f.to_ahead = (bits >> 12) % 16 == 0;
        x.f.related = (bits >> 16) % 8 != 0;
        x.f.allow_warnings = (bits >> 20) & 1;
        x.f.n_candidates = (bits >> 24) % (CAND_MAX + 1);
        x.f.n_builders = (bits >> 32) % (B_MAX + 1);
        x.f.candidate = x.c;
        for (size_t c = 0; c < x.f.n_candidates; c++) {
            x.c[c] = (promote_candidate){
                .rev = revs[c], .contains_to = rng(&seed) % 4 != 0, .builder = x.b[c]};
            for (size_t b = 0; b < B_MAX; b++)
                x.b[c][b] = builder_of(letters[rng(&seed) % (sizeof(letters) - 1)], b);
        }
        promote_decide(&x.f, &d);
        moved += d.kind == PROMOTE_MOVE;
        waited += d.kind == PROMOTE_WAIT;
        wrong += !decision_right(&x.f, &d);
    }
    ok(wrong == 0, "property: moves only to the newest green fast-forward, and then always");
    ok(moved > 5000 && waited > 5000, "property: both are common (%zu moves, %zu waits)", moved,
       waited);
}

int main(void)
{
    test_table();
    test_limits();
    test_property();
    return tap_done();
}
