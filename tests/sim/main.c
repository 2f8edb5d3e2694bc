/* sim: many histories, each from its seed. */
#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <fcntl.h>

#include "shared/base/log.h"
#include "shared/base/num.h"
#include "shared/crypt/crypt.h"
#include "tests/sim/sim.h"

typedef struct arguments {
    uint64_t from, seeds, jobs, seconds;
    bool one, verbose, points, no_shrink, twice, first;
} arguments;

static const char doc[] =
    "Runs simulated histories of a master, three workers, a repository and its people.\v"
    "Exit status: 0 all is well, 1 something was found.";
static const struct argp_option options[] = {
    {"from", 'f', "SEED", 0, "first seed (default 1)", 0},
    {"seeds", 'n', "N", 0, "how many (default 1000)", 0},
    {"seconds", 't', "S", 0, "stop after so many seconds", 0},
    {"jobs", 'j', "N", 0, "processes side by side (default 1)", 0},
    {"seed", 's', "SEED", 0, "this one only, with its trace", 0},
    {"verbose", 'v', NULL, 0, "print every line of the trace as it comes", 0},
    {"points", 'p', NULL, 0, "list the fault points that were passed", 0},
    {"twice", '2', NULL, 0, "run each seed twice and compare", 0},
    {"first", '1', NULL, 0, "stop at the first violation (of each process)", 0},
    {"no-shrink", 'q', NULL, 0, "do not look for the shortest trace of a failure", 0},
    {0},
};

static error_t parse(int key, char *arg, struct argp_state *state)
{
    arguments *a = state->input;
    uint64_t *n = key == 'f'   ? &a->from
                  : key == 'n' ? &a->seeds
                  : key == 't' ? &a->seconds
                  : key == 'j' ? &a->jobs
                  : key == 's' ? &a->from
                               : NULL;
    if (n && pw_parse_u64(arg, n, NULL) < 0)
        argp_error(state, "\"%s\" is no number", arg);
    if (key == 's') {
        a->one = true;
        a->seeds = 1;
    }
    a->verbose |= key == 'v';
    a->points |= key == 'p';
    a->twice |= key == '2';
    a->no_shrink |= key == 'q';
    a->first |= key == '1';
    return n || (key > 0 && strchr("vpq12", key)) ? 0 : ARGP_ERR_UNKNOWN;
}

/* Leaves out as many steps as it can while the history still breaks: halves, quarters ... single
 * steps. */
static void shrink(uint64_t seed, unsigned steps)
{
    bool *skip = calloc(steps + 1, 1);
    unsigned left = steps, tried = 0;
    if (!skip)
        return;
    for (unsigned chunk = steps / 2; chunk > 0; chunk /= 2)
        for (unsigned at = 0; at < steps; at += chunk) {
            unsigned end = at + chunk < steps ? at + chunk : steps, n = 0;
            bool *next = malloc(steps + 1);
            if (!next)
                break;
            memcpy(next, skip, steps + 1);
            for (unsigned i = at; i < end; i++) {
                n += !next[i];
                next[i] = true;
            }
            tried++;
            if (n > 0 && history_run(seed, next, steps).broken) {
                memcpy(skip, next, steps + 1);
                left -= n;
            }
            free(next);
        }
    sim_verbose = true;
    printf("# seed %llu cut down to %u of %u steps (%u tries):\n", (unsigned long long)seed, left,
           steps, tried);
    history_result r = history_run(seed, skip, steps);
    sim_verbose = false;
    printf("# %s\n", r.broken ? r.broken : "?");
    free(skip);
}

typedef struct sums {
    uint64_t histories, bad, first_bad, points;
    pw_usec simulated;
    history_figures h;
    oracle_figures o;
    disk_figures d;
} sums;

static double seconds(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void add_figures(disk_figures *a, const disk_figures *b)
{
    const uint64_t *from = (const uint64_t *)b;
    uint64_t *to = (uint64_t *)a;
    for (size_t i = 0; i < sizeof(*a) / sizeof(*to); i++)
        to[i] += from[i];
}

static void run_seeds(const arguments *a, unsigned job, sums *s)
{
    double until = a->seconds ? seconds() + (double)a->seconds : 0;
    for (uint64_t i = job;
         i < a->seeds && (until == 0 || seconds() < until) && !(a->first && s->bad); i += a->jobs) {
        uint64_t seed = a->from + i;
        history_result r = history_run(seed, NULL, 0);
        disk_figures d;
        disk_get_figures(&d);
        add_figures(&s->d, &d);
        s->histories++;
        s->simulated += r.simulated;
        if (a->twice) {
            uint64_t digest = r.digest;
            r = history_run(seed, NULL, 0);
            if (r.digest != digest) {
                printf("seed %llu: two runs differ\n", (unsigned long long)seed);
                s->bad++;
            }
        }
        if (!r.broken)
            continue;
        printf("seed %llu: %s\n", (unsigned long long)seed, r.broken);
        if (!s->bad++) {
            s->first_bad = seed;
            if (!a->no_shrink)
                shrink(seed, r.steps);
        }
        (void)fflush(stdout);
    }
    s->points = host_points_hit();
    s->h = history_sum;
    s->o = oracle_sum;
    if (a->points)
        host_points_print();
}

static void add(sums *a, const sums *b)
{
    const uint64_t *from = (const uint64_t *)b;
    uint64_t *to = (uint64_t *)a, first = a->first_bad ? a->first_bad : b->first_bad;
    for (size_t i = 0; i < sizeof(*a) / sizeof(*to); i++)
        to[i] += from[i];
    a->first_bad = first;
}

static int report(const sums *s, double wall)
{
    printf("sim: faults and work:");
    for (unsigned i = 0; history_fault_name(i); i++)
        printf(" %s %llu%s", history_fault_name(i), (unsigned long long)s->h.faults[i],
               history_fault_name(i + 1) ? "," : "\n");
    printf("sim: %llu kills, %llu power cuts (%llu torn writes), %llu failed calls, %llu crashes "
           "at fault points\n",
           (unsigned long long)s->d.kills, (unsigned long long)s->d.cuts,
           (unsigned long long)s->d.torn, (unsigned long long)s->d.failed,
           (unsigned long long)s->points);
    printf("sim: %llu requests, %llu builds, %llu attempts, %llu log bytes, %llu promotions looked "
           "at\n",
           (unsigned long long)s->o.requests, (unsigned long long)s->o.builds,
           (unsigned long long)s->o.attempts, (unsigned long long)s->o.log_bytes,
           (unsigned long long)s->o.promotions);
    printf("sim: %llu histories, %.1f simulated hours, %llu steps, %.0f s: %llu violations\n",
           (unsigned long long)s->histories, (double)s->simulated / 3.6e9,
           (unsigned long long)s->h.steps, wall, (unsigned long long)s->bad);
    return s->bad || !s->histories || !s->o.builds;
}

int main(int argc, char **argv)
{
    static const struct argp argp = {.options = options, .parser = parse, .doc = doc};
    arguments a = {.from = 1, .seeds = 1000, .jobs = 1};
    sums total = {0};
    int null = open("/dev/null", O_WRONLY | O_CLOEXEC), bad = 0;
    (void)argp_parse(&argp, argc, argv, 0, NULL, &a);
    if (a.jobs < 1)
        a.jobs = 1;
    pw_log_open(PW_LOG_ERROR, a.one ? -1 : null);
    sim_seed(0, 0);
    if (crypt_init(NULL) < 0 || disk_vfs_register() < 0 || workers_prepare() < 0 ||
        master_prepare() < 0)
        return 2;
    time_t began = time(NULL);
    if (a.one || a.jobs == 1) {
        sim_verbose = a.one || a.verbose;
        run_seeds(&a, 0, &total);
    } else {
        int p[2];
        if (pipe(p) < 0)
            return 2;
        for (unsigned j = 0; j < a.jobs; j++)
            if (fork() == 0) {
                run_seeds(&a, j, &total);
                (void)!write(p[1], &total, sizeof(total));
                (void)fflush(stdout);
                _exit(0);
            }
        (void)close(p[1]);
        sums one;
        unsigned n = 0;
        while (read(p[0], &one, sizeof(one)) == (ssize_t)sizeof(one)) {
            add(&total, &one);
            n++;
        }
        while (wait(NULL) > 0)
            ;
        bad = n != a.jobs;
    }
    bad |= report(&total, difftime(time(NULL), began));
    workers_clear();
    master_prepared_clear();
    return bad;
}
