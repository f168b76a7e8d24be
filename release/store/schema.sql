CREATE TABLE rollout (
    id TEXT PRIMARY KEY,
    release TEXT NOT NULL,
    policy_sha256 TEXT NOT NULL,
    policy TEXT NOT NULL,
    every_s REAL NOT NULL,
    speed REAL NOT NULL,
    again INTEGER NOT NULL,
    begun_at REAL NOT NULL,
    ended_at REAL,
    state TEXT NOT NULL
) STRICT;
CREATE TABLE step (
    seq INTEGER PRIMARY KEY,
    rollout TEXT NOT NULL REFERENCES rollout (id),
    at REAL NOT NULL,
    event TEXT NOT NULL,
    body TEXT NOT NULL,
    phase TEXT NOT NULL,
    stage INTEGER NOT NULL,
    hash TEXT NOT NULL
) STRICT;
CREATE TABLE look (
    rollout TEXT NOT NULL REFERENCES rollout (id),
    at REAL NOT NULL,
    stage INTEGER NOT NULL,
    quiet INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (rollout, at)
) STRICT, WITHOUT ROWID;
CREATE TABLE told (
    id INTEGER PRIMARY KEY,
    rollout TEXT NOT NULL REFERENCES rollout (id),
    at REAL NOT NULL,
    what TEXT NOT NULL,
    text TEXT NOT NULL,
    page INTEGER NOT NULL,
    delivered_at REAL
) STRICT;
CREATE TABLE paged (
    page TEXT PRIMARY KEY,
    at REAL NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE ab (
    rollout TEXT NOT NULL REFERENCES rollout (id),
    stage INTEGER NOT NULL,
    body TEXT NOT NULL,
    PRIMARY KEY (rollout, stage)
) STRICT, WITHOUT ROWID;
CREATE TABLE pushed (
    gate TEXT PRIMARY KEY,
    at REAL NOT NULL,
    value TEXT NOT NULL,
    count INTEGER
) STRICT;
CREATE TABLE asked (
    id INTEGER PRIMARY KEY,
    at REAL NOT NULL,
    body TEXT NOT NULL,
    answered_at REAL,
    refusal TEXT
) STRICT;
CREATE INDEX told_undelivered ON told (id) WHERE delivered_at IS NULL;
CREATE INDEX asked_open ON asked (id) WHERE answered_at IS NULL;
