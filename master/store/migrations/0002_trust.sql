-- Who may do what, what came in, what goes out.
-- Tokens: `id` names one for people (`pawl token revoke 3`); `person` is the entry of `people:` it acts as, if any.
CREATE TABLE token2(hash BLOB PRIMARY KEY, id INTEGER NOT NULL UNIQUE, name TEXT NOT NULL, scopes TEXT NOT NULL,
                    person TEXT, creator TEXT NOT NULL, created INTEGER NOT NULL, expires INTEGER, used INTEGER,
                    revoked INTEGER) WITHOUT ROWID;
INSERT INTO token2(hash, id, name, scopes, creator, created, revoked)
    SELECT hash, row_number() OVER (ORDER BY created, name), name, scopes, 'master', created, revoked FROM token;
DROP TABLE token;
ALTER TABLE token2 RENAME TO token;
-- Sessions of the web page: hash of the cookie's secret; ends with the token it was opened with.
CREATE TABLE session(hash BLOB PRIMARY KEY, token BLOB NOT NULL, created INTEGER NOT NULL, expires INTEGER NOT NULL)
    WITHOUT ROWID;
CREATE INDEX session_expires ON session(expires);
-- Deliveries of webhooks, raw and before the answer; state 0 new, 1 acted on, 2 refused later (reason).
CREATE TABLE hook(id INTEGER PRIMARY KEY, project INTEGER NOT NULL, kind TEXT NOT NULL, delivery TEXT NOT NULL,
                  event TEXT, at INTEGER NOT NULL, body BLOB NOT NULL, state INTEGER NOT NULL, reason TEXT,
                  UNIQUE(project, kind, delivery));
CREATE INDEX hook_new ON hook(id) WHERE state = 0;
-- Outgoing messages, written in the turn that decided them. `key` is unique for ever and goes with the message;
-- state 0 waiting, 1 under way, 2 sent, 3 given up.
CREATE TABLE outbox(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE, target TEXT NOT NULL, body TEXT NOT NULL,
                    state INTEGER NOT NULL, tries INTEGER NOT NULL, due INTEGER NOT NULL, created INTEGER NOT NULL,
                    finished INTEGER, reason TEXT);
CREATE INDEX outbox_open ON outbox(target, id) WHERE state < 2;
CREATE INDEX audit_actor ON audit(actor, id);
