-- What builds are made of and what they leave. Each part says what its rows are for.
-- Notes that steps put beside a build, of each attempt the last of each context.
CREATE TABLE note(attempt INTEGER NOT NULL, context TEXT NOT NULL, style TEXT NOT NULL, text TEXT NOT NULL,
                  at INTEGER NOT NULL, PRIMARY KEY(attempt, context)) WITHOUT ROWID;
-- Workers: exceptions in a row (of different builds) and how often that led to a rest; who made an elastic one.
ALTER TABLE worker ADD COLUMN strikes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE worker ADD COLUMN rests INTEGER NOT NULL DEFAULT 0;
ALTER TABLE worker ADD COLUMN provider TEXT;
-- Machines of a provider. state 0 asked for (nobody knows whether it was made), 1 made, 2 to be given back, 3 given back
-- (its provider still shows it), 4 gone. handle: what its provider calls it, NULL not known.
CREATE TABLE machine(id INTEGER PRIMARY KEY, provider TEXT NOT NULL, worker INTEGER NOT NULL, state INTEGER NOT NULL,
                     handle TEXT, created INTEGER NOT NULL, finished INTEGER, reason TEXT);
CREATE INDEX machine_open ON machine(id) WHERE state < 4;
-- The facts of an attempt's worker at that time, as a text of `name`: they are properties of the build.
CREATE TABLE ran_on(attempt INTEGER PRIMARY KEY, facts INTEGER NOT NULL);

-- What a step read from and wrote to disks; NULL in rows from before.
ALTER TABLE step ADD COLUMN read_bytes INTEGER;
ALTER TABLE step ADD COLUMN write_bytes INTEGER;

-- Changes: why one that could start builds starts none ("[ci skip]", moved by a promotion).
ALTER TABLE change ADD COLUMN note TEXT;
-- Proposals (pull requests). `proposal` of a stamp: 0 a branch's own; 1 what somebody proposes; 2 the same, seen at the tip of a
-- branch of ours. What is not 0 says nothing of a branch: it neither promotes nor is the latest of one. What forges tell of a
-- proposal (in webhooks; NULL: nothing) is for people and for the filter by target; fork: 1 from another repository, 0 not, -1 unknown.
ALTER TABLE stamp ADD COLUMN proposal INTEGER NOT NULL DEFAULT 0;
CREATE TABLE proposal(project INTEGER NOT NULL, branch TEXT NOT NULL, target TEXT, title TEXT, author TEXT, fork INTEGER NOT NULL,
                      at INTEGER NOT NULL, PRIMARY KEY(project, branch)) WITHOUT ROWID;

-- Schedulers: what people switched off until it is switched on again; kind 0: a builder (PROJECT/NAME), 1: a scheduler.
CREATE TABLE paused(kind INTEGER NOT NULL, name TEXT NOT NULL, reason TEXT NOT NULL, who TEXT NOT NULL, at INTEGER NOT NULL,
                    PRIMARY KEY(kind, name)) WITHOUT ROWID;
-- What a paused scheduler would have built, the newest of each branch; change: the oldest that it is about, 0 none.
CREATE TABLE missed(scheduler TEXT NOT NULL, branch TEXT NOT NULL, stamp INTEGER NOT NULL, project INTEGER NOT NULL,
                    tagged INTEGER NOT NULL, change INTEGER NOT NULL, PRIMARY KEY(scheduler, branch)) WITHOUT ROWID;
CREATE INDEX missed_branch ON missed(project, branch);
-- The newest build of each builder on each branch that was green or red, and the first one since when it is so.
CREATE TABLE decided(builder INTEGER NOT NULL, branch TEXT NOT NULL, build INTEGER NOT NULL, result INTEGER NOT NULL,
                     since INTEGER NOT NULL, PRIMARY KEY(builder, branch)) WITHOUT ROWID;
INSERT INTO decided(builder, branch, build, result, since)
    SELECT builder, branch, build, result, build FROM latest WHERE result IN (0, 2);
-- Waiting requests that [testfix] may hold; held: the build since which it does, 0: it does not now.
CREATE TABLE testfix(request INTEGER PRIMARY KEY, project INTEGER NOT NULL, branch TEXT NOT NULL, change INTEGER NOT NULL,
                     held INTEGER NOT NULL);
CREATE INDEX testfix_branch ON testfix(project, branch);
-- What a quiet time is about: whether a change of it has [testfix], and the oldest one.
ALTER TABLE quiet ADD COLUMN tagged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE quiet ADD COLUMN change INTEGER NOT NULL DEFAULT 0;
-- The build whose step asked for the set; whether what comes after it was asked for.
ALTER TABLE buildset ADD COLUMN parent INTEGER;
ALTER TABLE buildset ADD COLUMN followed INTEGER NOT NULL DEFAULT 0;
CREATE INDEX request_rode ON request(rode_with) WHERE rode_with IS NOT NULL;
CREATE INDEX request_set ON request(buildset);
-- Work directories of failed builds that a worker keeps for people, as it said.
CREATE TABLE kept(build INTEGER PRIMARY KEY, worker INTEGER NOT NULL, dir TEXT NOT NULL, until INTEGER NOT NULL);
CREATE INDEX kept_until ON kept(until);

-- Files that steps left. kind: 0 artifact, 1 report, 2 summary. state: 0 its bytes lie in artifacts/in, 1 in place by their
-- sum, 2 damaged. The bytes of a sum are kept as long as a row names it; gone has those to be removed.
CREATE TABLE artifact(attempt INTEGER NOT NULL, file INTEGER NOT NULL, step INTEGER NOT NULL, kind INTEGER NOT NULL,
                      path TEXT NOT NULL, size INTEGER NOT NULL, mode INTEGER NOT NULL, sha256 BLOB NOT NULL,
                      state INTEGER NOT NULL, at INTEGER NOT NULL, expires INTEGER NOT NULL,
                      PRIMARY KEY(attempt, file)) WITHOUT ROWID;
CREATE UNIQUE INDEX artifact_path ON artifact(attempt, kind, path);
CREATE INDEX artifact_sum ON artifact(sha256);
CREATE INDEX artifact_expires ON artifact(expires);
CREATE INDEX artifact_open ON artifact(attempt, file) WHERE state = 0;
CREATE TABLE artifact_gone(sha256 BLOB PRIMARY KEY) WITHOUT ROWID;
-- What reports said. result: 0 passed, 1 failed, 2 skipped
CREATE TABLE report(attempt INTEGER NOT NULL, n INTEGER NOT NULL, step INTEGER NOT NULL, format TEXT NOT NULL,
                    path TEXT NOT NULL, tests INTEGER NOT NULL, failed INTEGER NOT NULL, skipped INTEGER NOT NULL,
                    reason TEXT, PRIMARY KEY(attempt, n)) WITHOUT ROWID;
CREATE TABLE test(attempt INTEGER NOT NULL, n INTEGER NOT NULL, step INTEGER NOT NULL, suite TEXT, name TEXT NOT NULL,
                  result INTEGER NOT NULL, ms INTEGER NOT NULL, PRIMARY KEY(attempt, n)) WITHOUT ROWID;
CREATE INDEX test_bad ON test(attempt, n) WHERE result = 1;

-- Retention. A log's `sealed` is 2 while its file is about to be removed (the row says so before the file goes), 3 once it
-- is gone: rows outlive files, so neither a file without a row nor a row that names nothing can come of a crash.
CREATE INDEX log_going ON log(attempt, idx, stream) WHERE sealed = 2;
-- Builds that people want to keep.
CREATE TABLE pin(build INTEGER PRIMARY KEY, who TEXT NOT NULL, reason TEXT, at INTEGER NOT NULL);
-- Builders that need each other. A builder with a matrix or shards is built as several: each has a row, and the builder
-- that it is a part of.
ALTER TABLE builder ADD COLUMN parent INTEGER;
ALTER TABLE buildset ADD COLUMN retry_of INTEGER;
-- What is not plain about a request. parent: the builder that it is a part of (0 none); hold: 1 a person must start it,
-- 2 its pipeline file is being read, 3 nothing that it depends on changed; pipeline: whose file defines it (0 the
-- configuration); follows: where hold is 3, the newest earlier request of the builder on the branch (0 none).
CREATE TABLE task(request INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, parent INTEGER NOT NULL, hold INTEGER NOT NULL,
                  pipeline INTEGER NOT NULL, follows INTEGER NOT NULL);
CREATE INDEX task_parent ON task(stamp, parent) WHERE parent > 0;
CREATE INDEX request_builder ON request(builder, id);
-- Schedulers with builders that have run_if_changed: the newest change that a set of a branch was about.
CREATE TABLE regarded(scheduler TEXT NOT NULL, branch TEXT NOT NULL, project INTEGER NOT NULL, change INTEGER NOT NULL,
                      PRIMARY KEY(scheduler, branch)) WITHOUT ROWID;
CREATE INDEX regarded_branch ON regarded(project, branch);
-- Open build sets in which one request has to do with another, who takes part (needs 0; optional: its
-- failure is not the set's), and who needs whom.
CREATE TABLE graph(buildset INTEGER PRIMARY KEY, fail_fast INTEGER NOT NULL);
CREATE TABLE need(buildset INTEGER NOT NULL, builder INTEGER NOT NULL, needs INTEGER NOT NULL, optional INTEGER NOT NULL,
                  PRIMARY KEY(buildset, builder, needs)) WITHOUT ROWID;
-- Pipeline files as they are in a revision, and what they include; text NULL: there is no such file.
CREATE TABLE pipeline(id INTEGER PRIMARY KEY, project INTEGER NOT NULL, rev BLOB NOT NULL, path TEXT NOT NULL,
                      UNIQUE(project, rev, path));
CREATE TABLE pipeline_text(pipeline INTEGER NOT NULL, path TEXT NOT NULL, text TEXT, PRIMARY KEY(pipeline, path)) WITHOUT ROWID;
-- What was asked for where the pipeline file is not read yet. flags: 1 fail_fast, 2 a person, 4 collapse; names: builders, one a
-- line, NULL all; files: that changed, NULL not known.
CREATE TABLE asked(request INTEGER PRIMARY KEY, flags INTEGER NOT NULL, change INTEGER NOT NULL, names TEXT, files TEXT);
-- What a build that no worker ran has to say: its log.
CREATE TABLE remark(build INTEGER PRIMARY KEY, text TEXT NOT NULL);
-- What people try. The id names the ref refs/pawl/try/ID of the mirror and STATE/tries/PROJECT-ID.bundle, from which the
-- mirror gets it again; the build sets of it, those of retries too: when none is left, all of it goes. Its stamp has
-- `proposal` 3: nobody's branch has it. `released` of a stamp: who said that its revision is to be trusted.
CREATE TABLE try(id INTEGER PRIMARY KEY, project INTEGER NOT NULL, stamp INTEGER NOT NULL, base BLOB NOT NULL, who TEXT,
                 size INTEGER NOT NULL, at INTEGER NOT NULL);
CREATE INDEX try_stamp ON try(stamp);
CREATE TABLE try_set(try INTEGER NOT NULL, buildset INTEGER NOT NULL, PRIMARY KEY(try, buildset)) WITHOUT ROWID;
ALTER TABLE stamp ADD COLUMN released TEXT;
-- Steps that triggered: what each asked for, once for a build whatever its attempts. buildset: 0 it was refused, for `reason`.
-- attempt: the one that asked last, and is told. depth: 1 + that of the build's own set. flags: 1 it waits, 2 its build's end does
-- not cancel what it waits for. result: NULL while it waits.
CREATE TABLE triggered(build INTEGER NOT NULL, step INTEGER NOT NULL, buildset INTEGER NOT NULL, attempt INTEGER NOT NULL,
                       depth INTEGER NOT NULL, flags INTEGER NOT NULL, result INTEGER, reason TEXT,
                       PRIMARY KEY(build, step)) WITHOUT ROWID;
CREATE INDEX triggered_set ON triggered(buildset) WHERE buildset > 0;
CREATE INDEX triggered_open ON triggered(build, step) WHERE result IS NULL;
-- What the target of a message calls it, where it said so: later ones of the same break refer to it.
ALTER TABLE outbox ADD COLUMN remote TEXT;
-- Changes of a project that few of all changes are of.
CREATE INDEX stamp_project ON stamp(project);
