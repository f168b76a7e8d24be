-- The journal's tables today, to read. Nothing runs this file: `migrations/` makes the tables, and a test compares.
-- Times are UTC texts of fixed width, so that they sort; mappings are JSON.
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL);

CREATE TABLE delivery (
  id INTEGER PRIMARY KEY, sha256 TEXT NOT NULL, body BLOB, first_at TEXT NOT NULL, last_at TEXT NOT NULL,
  count INTEGER NOT NULL
);
CREATE INDEX delivery_last_at ON delivery (last_at) WHERE body IS NOT NULL;

CREATE TABLE alert_seen (
  fingerprint TEXT PRIMARY KEY, status TEXT NOT NULL, starts_at TEXT NOT NULL, ends_at TEXT, last_at TEXT NOT NULL,
  labels TEXT NOT NULL, annotations TEXT NOT NULL, unconfirmed_since TEXT
);
CREATE INDEX alert_seen_unconfirmed ON alert_seen (unconfirmed_since)
  WHERE unconfirmed_since IS NOT NULL;
CREATE INDEX alert_seen_name ON alert_seen (json_extract(labels, '$.alertname'));

-- Alerts of a stored delivery that wait for a later transaction, in their order.
CREATE TABLE waiting_alert (
  id INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, fingerprint TEXT NOT NULL, at TEXT NOT NULL,
  request_id TEXT NOT NULL, trace_id TEXT NOT NULL
);
CREATE INDEX waiting_alert_fingerprint ON waiting_alert (fingerprint);

CREATE TABLE policy (
  sha256 TEXT PRIMARY KEY, name TEXT NOT NULL, body TEXT NOT NULL, first_at TEXT NOT NULL
);
CREATE TABLE policy_in_force (name TEXT PRIMARY KEY, sha256 TEXT NOT NULL, since TEXT NOT NULL);

CREATE TABLE episode (
  id TEXT PRIMARY KEY, policy TEXT NOT NULL, rule TEXT NOT NULL, fingerprint TEXT NOT NULL, service TEXT NOT NULL,
  state TEXT NOT NULL, generation INTEGER NOT NULL, opened_at TEXT NOT NULL, resolved_at TEXT, closed_at TEXT,
  policy_sha256 TEXT NOT NULL, incident TEXT NOT NULL, alert TEXT NOT NULL, severity TEXT NOT NULL,
  reason TEXT NOT NULL, spec TEXT NOT NULL, labels TEXT NOT NULL, starts_at TEXT NOT NULL, review_at TEXT,
  acked_at TEXT, acked_by TEXT NOT NULL DEFAULT '', request_id TEXT NOT NULL DEFAULT '',
  trace_id TEXT NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX episode_live ON episode (policy, rule, fingerprint)
  WHERE state IN ('OPEN', 'RESOLVING');
CREATE INDEX episode_newest ON episode (fingerprint, policy, rule, generation);
CREATE INDEX episode_service ON episode (service, opened_at, id) WHERE state IN ('OPEN', 'RESOLVING');
CREATE INDEX episode_resolving ON episode (policy_sha256, rule, resolved_at, id) WHERE state = 'RESOLVING';
CREATE INDEX episode_review ON episode (review_at, id) WHERE state = 'OPEN';

CREATE TABLE freeze_reason (
  flag TEXT NOT NULL, episode TEXT NOT NULL, reason TEXT NOT NULL, since TEXT NOT NULL, written_at TEXT,
  ended_at TEXT, ended_by TEXT NOT NULL DEFAULT '', end_reason TEXT NOT NULL DEFAULT '',
  PRIMARY KEY (flag, episode)
);
CREATE INDEX freeze_reason_in_force ON freeze_reason (flag, since, episode) WHERE ended_at IS NULL;
CREATE INDEX freeze_reason_unwritten ON freeze_reason (flag) WHERE ended_at IS NULL AND written_at IS NULL;
CREATE INDEX freeze_reason_episode ON freeze_reason (episode);

CREATE TABLE flag_file (
  path TEXT PRIMARY KEY, service TEXT NOT NULL, generation INTEGER NOT NULL, text TEXT, written_at TEXT NOT NULL,
  legacy_on INTEGER NOT NULL DEFAULT 0
);

CREATE TABLE condition_held (
  policy_sha256 TEXT NOT NULL, rule TEXT NOT NULL, condition TEXT NOT NULL, true_since TEXT NOT NULL,
  checked_at TEXT NOT NULL, PRIMARY KEY (policy_sha256, rule, condition)
);

CREATE TABLE action (
  id TEXT PRIMARY KEY, key TEXT NOT NULL UNIQUE, episode TEXT NOT NULL, service TEXT NOT NULL, type TEXT NOT NULL,
  name TEXT NOT NULL, state TEXT NOT NULL, attempt INTEGER NOT NULL, failures INTEGER NOT NULL,
  created_at TEXT NOT NULL, updated_at TEXT NOT NULL, due_at TEXT, deadline_at TEXT, lease_owner TEXT NOT NULL,
  lease_until TEXT, fence INTEGER NOT NULL, repeat INTEGER NOT NULL, payload TEXT NOT NULL, result TEXT NOT NULL,
  request_id TEXT NOT NULL, trace_id TEXT NOT NULL
);
CREATE INDEX action_unfinished ON action (state, due_at)
  WHERE state NOT IN ('SUCCEEDED', 'DEAD', 'CANCELLED', 'SKIPPED');
CREATE INDEX action_episode ON action (episode, type);
CREATE INDEX action_service ON action (service, type, updated_at);
CREATE INDEX action_state ON action (type, state);

-- The episodes for which an unfinished rollback runs, or for which a switch holds a feature flag. Later episodes join.
CREATE TABLE rollback_episode (action TEXT NOT NULL, episode TEXT NOT NULL, PRIMARY KEY (action, episode));
CREATE INDEX rollback_episode_episode ON rollback_episode (episode);

CREATE TABLE decision (
  seq INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL, sentence TEXT NOT NULL, delivery TEXT NOT NULL,
  episode TEXT NOT NULL, action TEXT NOT NULL, trace_id TEXT NOT NULL, prev_hash TEXT NOT NULL, hash TEXT NOT NULL
);
CREATE INDEX decision_at ON decision (at);

-- What is on the event stream: one row per notice, found by the seq of its decision.
CREATE TABLE notice (key TEXT PRIMARY KEY, seq INTEGER NOT NULL UNIQUE, body TEXT NOT NULL);

-- Keeps a receiver of shape 1, which does not look at the number of a shape, from a migrated journal.
CREATE VIEW hold AS SELECT 'restore journal.db.before-2 for a receiver of shape 1' AS instead;
