-- What builds are made of and what they leave. Each part says what its rows are for.
-- Notes that steps put beside a build, of each attempt the last of each context.
CREATE TABLE note(attempt INTEGER NOT NULL, context TEXT NOT NULL, style TEXT NOT NULL, text TEXT NOT NULL,
                  at INTEGER NOT NULL, PRIMARY KEY(attempt, context)) WITHOUT ROWID;
