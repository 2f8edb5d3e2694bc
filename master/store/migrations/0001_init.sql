-- The first schema. Enums are integers (names in store.h), times are milliseconds since 1970, revisions are blobs.
-- Ids are given by the core (highest + 1, found at start), so retention must always keep the newest row of a table.
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE name(id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE);
CREATE TABLE project(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, looked INTEGER NOT NULL DEFAULT 0, head TEXT);
CREATE TABLE builder(id INTEGER PRIMARY KEY, project INTEGER NOT NULL, name TEXT NOT NULL, UNIQUE(project, name));
CREATE TABLE tip(project INTEGER NOT NULL, ref TEXT NOT NULL, rev BLOB NOT NULL, PRIMARY KEY(project, ref)) WITHOUT ROWID;
CREATE TABLE stamp(id INTEGER PRIMARY KEY, project INTEGER NOT NULL, rev BLOB NOT NULL, branch TEXT NOT NULL,
                   UNIQUE(rev, project, branch));
CREATE INDEX stamp_branch ON stamp(branch, project);
CREATE TABLE change(id INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, at INTEGER NOT NULL, tip INTEGER NOT NULL,
                    forced INTEGER NOT NULL, source TEXT, author TEXT, subject TEXT, files TEXT);
CREATE INDEX change_stamp ON change(stamp);
CREATE TABLE buildset(id INTEGER PRIMARY KEY, scheduler INTEGER, reason TEXT, who TEXT, stamp INTEGER NOT NULL,
                      created INTEGER NOT NULL);
CREATE TABLE request(id INTEGER PRIMARY KEY, buildset INTEGER NOT NULL, builder INTEGER NOT NULL, stamp INTEGER NOT NULL,
                     prio INTEGER NOT NULL, state INTEGER NOT NULL, created INTEGER NOT NULL, build INTEGER,
                     rode_with INTEGER, collapse INTEGER NOT NULL, props BLOB);
CREATE INDEX request_open ON request(builder, prio, id) WHERE state < 2;
CREATE TABLE build(id INTEGER PRIMARY KEY, request INTEGER NOT NULL, builder INTEGER NOT NULL, stamp INTEGER NOT NULL,
                   state INTEGER NOT NULL, result INTEGER, created INTEGER NOT NULL, started INTEGER, finished INTEGER,
                   worker INTEGER, attempt INTEGER, tries INTEGER NOT NULL, reason TEXT);
CREATE INDEX build_open ON build(id) WHERE state < 4;
CREATE INDEX build_builder ON build(builder, id);
CREATE INDEX build_stamp ON build(stamp, builder);
CREATE INDEX build_bad ON build(builder, id) WHERE result IN (2, 4);
-- the job as frozen when the build was created; until the build is done and none of its attempts ships any more
CREATE TABLE job(build INTEGER PRIMARY KEY, bytes BLOB NOT NULL);
CREATE TABLE attempt(id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, build INTEGER NOT NULL, worker INTEGER NOT NULL, state INTEGER NOT NULL,
                     offers INTEGER NOT NULL, spool BLOB, boot BLOB, offered INTEGER NOT NULL, digest BLOB,
                     applied INTEGER NOT NULL, applied_chain INTEGER NOT NULL, stored INTEGER NOT NULL,
                     stored_chain INTEGER NOT NULL, result INTEGER, ended INTEGER, reason TEXT);
CREATE INDEX attempt_build ON attempt(build);
-- what a worker may still ship or must still forget
CREATE INDEX attempt_open ON attempt(worker, id) WHERE state < 4;
CREATE TABLE step(attempt INTEGER NOT NULL, idx INTEGER NOT NULL, name INTEGER NOT NULL, kind INTEGER NOT NULL,
                  state INTEGER NOT NULL, result INTEGER, started INTEGER, finished INTEGER, exit_code INTEGER,
                  signal INTEGER, lines INTEGER, bytes INTEGER, cpu_ms INTEGER, max_rss INTEGER, reason TEXT,
                  PRIMARY KEY(attempt, idx)) WITHOUT ROWID;
-- one row per step and stream that printed anything; file = 0 while its frames are in segments
CREATE TABLE log(attempt INTEGER NOT NULL, idx INTEGER NOT NULL, stream INTEGER NOT NULL, bytes INTEGER NOT NULL,
                 lines INTEGER NOT NULL, packed INTEGER NOT NULL, sealed INTEGER NOT NULL,
                 PRIMARY KEY(attempt, idx, stream)) WITHOUT ROWID;
CREATE INDEX log_open ON log(attempt, idx, stream) WHERE sealed = 0;
CREATE TABLE frame(attempt INTEGER NOT NULL, idx INTEGER NOT NULL, stream INTEGER NOT NULL, raw_pos INTEGER NOT NULL,
                   raw_len INTEGER NOT NULL, first_line INTEGER NOT NULL, lines INTEGER NOT NULL, t_first INTEGER NOT NULL,
                   t_last INTEGER NOT NULL, codec INTEGER NOT NULL, segment INTEGER NOT NULL, at INTEGER NOT NULL,
                   len INTEGER NOT NULL, PRIMARY KEY(attempt, idx, stream, raw_pos)) WITHOUT ROWID;
CREATE TABLE property(build INTEGER NOT NULL, name INTEGER NOT NULL, value TEXT NOT NULL, source TEXT NOT NULL,
                      PRIMARY KEY(build, name)) WITHOUT ROWID;
-- newest build of each builder on each branch that ended with success, warnings or failure
CREATE TABLE latest(builder INTEGER NOT NULL, branch TEXT NOT NULL, build INTEGER NOT NULL, result INTEGER NOT NULL,
                    stamp INTEGER NOT NULL, finished INTEGER NOT NULL, PRIMARY KEY(builder, branch)) WITHOUT ROWID;
CREATE TABLE worker(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, key BLOB, spool BLOB, boot BLOB,
                    slots INTEGER NOT NULL DEFAULT 0, tags TEXT, facts TEXT, version TEXT, created INTEGER NOT NULL,
                    seen INTEGER, paused INTEGER NOT NULL DEFAULT 0, draining INTEGER NOT NULL DEFAULT 0,
                    removed INTEGER NOT NULL DEFAULT 0, quarantine INTEGER NOT NULL DEFAULT 0, reason TEXT, who TEXT);
CREATE TABLE enrol(worker INTEGER PRIMARY KEY, key BLOB NOT NULL, expires INTEGER NOT NULL, used BLOB);
CREATE TABLE promotion(id INTEGER PRIMARY KEY, edge TEXT NOT NULL, project INTEGER NOT NULL, source TEXT NOT NULL,
                       target TEXT NOT NULL, old BLOB, rev BLOB NOT NULL, state INTEGER NOT NULL, reason TEXT,
                       created INTEGER NOT NULL, finished INTEGER);
CREATE INDEX promotion_open ON promotion(id) WHERE state = 0;
CREATE INDEX promotion_edge ON promotion(edge, id);
CREATE TABLE edge(name TEXT PRIMARY KEY, state INTEGER NOT NULL, rev BLOB, reason TEXT, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE schedule(name TEXT PRIMARY KEY, fired INTEGER NOT NULL, stamp INTEGER) WITHOUT ROWID;
CREATE TABLE quiet(scheduler TEXT NOT NULL, branch TEXT NOT NULL, stamp INTEGER NOT NULL, due INTEGER NOT NULL,
                   PRIMARY KEY(scheduler, branch)) WITHOUT ROWID;
CREATE TABLE event(seq INTEGER PRIMARY KEY, at INTEGER NOT NULL, kind INTEGER NOT NULL, id INTEGER NOT NULL);
CREATE TABLE idem(key TEXT PRIMARY KEY, at INTEGER NOT NULL, status INTEGER NOT NULL, body TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX idem_at ON idem(at);
CREATE TABLE token(hash BLOB PRIMARY KEY, name TEXT NOT NULL, scopes TEXT NOT NULL, created INTEGER NOT NULL,
                   revoked INTEGER) WITHOUT ROWID;
CREATE TABLE audit(id INTEGER PRIMARY KEY, at INTEGER NOT NULL, actor TEXT NOT NULL, action TEXT NOT NULL, object TEXT,
                   text TEXT);
CREATE TABLE config(gen INTEGER PRIMARY KEY, at INTEGER NOT NULL, text TEXT NOT NULL);
