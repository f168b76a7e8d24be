-- Shape 3: ten thousand alerts at once. Alerts can wait for a later transaction, many episodes share one rollback, and
-- conditions to unfreeze are held by a rule, not by each of the rule's episodes.
CREATE TABLE waiting_alert (
  id INTEGER PRIMARY KEY, delivery INTEGER NOT NULL, fingerprint TEXT NOT NULL, at TEXT NOT NULL,
  request_id TEXT NOT NULL, trace_id TEXT NOT NULL
);
CREATE INDEX waiting_alert_fingerprint ON waiting_alert (fingerprint);

CREATE TABLE rollback_episode (action TEXT NOT NULL, episode TEXT NOT NULL, PRIMARY KEY (action, episode));
CREATE INDEX rollback_episode_episode ON rollback_episode (episode);
INSERT INTO rollback_episode (action, episode) SELECT id, episode FROM action WHERE type = 'rollback'
  AND state NOT IN ('SUCCEEDED', 'DEAD', 'CANCELLED', 'SKIPPED');

ALTER TABLE flag_file ADD COLUMN legacy_on INTEGER NOT NULL DEFAULT 0;
UPDATE flag_file SET legacy_on = 1 WHERE text IS NOT NULL AND EXISTS (
  SELECT 1 FROM freeze_reason AS r JOIN action AS a ON a.episode = r.episode AND a.type = 'freeze'
  WHERE r.flag = flag_file.path AND r.ended_at IS NULL AND a.state = 'SUCCEEDED'
  AND json_extract(a.payload, '$.flag') = flag_file.path
);

CREATE TABLE condition_held_by_rule (
  policy_sha256 TEXT NOT NULL, rule TEXT NOT NULL, condition TEXT NOT NULL, true_since TEXT NOT NULL,
  checked_at TEXT NOT NULL, PRIMARY KEY (policy_sha256, rule, condition)
);
INSERT INTO condition_held_by_rule (policy_sha256, rule, condition, true_since, checked_at)
  SELECT e.policy_sha256, e.rule, h.condition, max(h.true_since), max(h.checked_at)
  FROM condition_held AS h JOIN episode AS e ON e.id = h.episode WHERE e.state = 'RESOLVING' GROUP BY 1, 2, 3;
DROP TABLE condition_held;
ALTER TABLE condition_held_by_rule RENAME TO condition_held;

DROP INDEX freeze_reason_in_force;
CREATE INDEX freeze_reason_in_force ON freeze_reason (flag, since, episode) WHERE ended_at IS NULL;
CREATE INDEX freeze_reason_unwritten ON freeze_reason (flag) WHERE ended_at IS NULL AND written_at IS NULL;
DROP INDEX episode_service;
CREATE INDEX episode_service ON episode (service, opened_at, id) WHERE state IN ('OPEN', 'RESOLVING');
DROP INDEX episode_resolving;
CREATE INDEX episode_resolving ON episode (policy_sha256, rule, resolved_at, id) WHERE state = 'RESOLVING';
DROP INDEX episode_review;
CREATE INDEX episode_review ON episode (review_at, id) WHERE state = 'OPEN';
CREATE INDEX alert_seen_name ON alert_seen (json_extract(labels, '$.alertname'));
