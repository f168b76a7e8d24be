-- Shape 2: the names of freeze reasons, events and unfreezing. Decisions are hash-chained and keep their old words.
ALTER TABLE hold RENAME TO freeze_reason;
ALTER TABLE freeze_reason RENAME COLUMN released_at TO ended_at;
ALTER TABLE freeze_reason RENAME COLUMN released_by TO ended_by;
ALTER TABLE freeze_reason RENAME COLUMN release_reason TO end_reason;
DROP INDEX hold_held;
DROP INDEX hold_episode;
CREATE INDEX freeze_reason_in_force ON freeze_reason (flag) WHERE ended_at IS NULL;
CREATE INDEX freeze_reason_episode ON freeze_reason (episode);

-- A receiver of shape 1 does not look at the number of a shape: it would make an empty `hold` and know of no freeze.
-- It refuses a journal with this view, because it cannot make its indexes on a view.
CREATE VIEW hold AS SELECT 'restore journal.db.before-2 for a receiver of shape 1' AS instead;

UPDATE action SET type = 'unfreeze', name = 'unfreeze', key = 'unfreeze:' || substr(key, length('thaw:') + 1)
  WHERE type = 'thaw';

-- Keys of notices end with the event, or (of a dead letter) with the event that was not delivered, or with either and
-- `#again`. `start` is all of a key before that event.
CREATE TEMP TABLE renamed_key (old TEXT PRIMARY KEY, new TEXT NOT NULL);
INSERT INTO renamed_key (old, new)
  SELECT key, start || 'unfrozen' || substr(key, length(start) + length('released') + 1)
  FROM (
    SELECT key, 'notice:' || name || ':' || service || ':' || json_extract(payload, '$.incident') || ':' || iif(
      json_extract(payload, '$.moment') = 'dead_letter',
      'dead_letter:' || json_extract(json_extract(payload, '$.facts'), '$.channel') || ':',
      ''
    ) AS start
    FROM action WHERE type = 'notify'
  )
  WHERE substr(key, 1, length(start) + length('released')) = start || 'released';
UPDATE notice SET key = (SELECT new FROM renamed_key WHERE old = key) WHERE key IN (SELECT old FROM renamed_key);
UPDATE action SET key = (SELECT new FROM renamed_key WHERE old = key) WHERE key IN (SELECT old FROM renamed_key);
DROP TABLE renamed_key;

UPDATE action
  SET payload = json_set(
    json_remove(payload, '$.moment'),
    '$.event',
    iif(json_extract(payload, '$.moment') = 'released', 'unfrozen', json_extract(payload, '$.moment'))
  )
  WHERE type = 'notify' AND json_extract(payload, '$.moment') IS NOT NULL;
UPDATE notice
  SET body = json_set(
    json_remove(body, '$.moment'),
    '$.event',
    iif(json_extract(body, '$.moment') = 'released', 'unfrozen', json_extract(body, '$.moment'))
  )
  WHERE json_extract(body, '$.moment') IS NOT NULL;

-- `facts` is a text that holds JSON: `|| ''` makes a text of what `json_remove` gives.
UPDATE action
  SET payload = json_set(
    payload,
    '$.facts',
    json_remove(
      json_set(
        json_extract(payload, '$.facts'),
        '$.unfreeze_when',
        replace(
          json_extract(json_extract(payload, '$.facts'), '$.release_when'),
          'an operator releases it',
          'an operator unfreezes it'
        )
      ),
      '$.release_when'
    ) || ''
  )
  WHERE type = 'notify' AND json_extract(json_extract(payload, '$.facts'), '$.release_when') IS NOT NULL;
UPDATE action
  SET payload = json_set(
    payload,
    '$.facts',
    json_remove(
      json_set(
        json_extract(payload, '$.facts'),
        '$.ended_by',
        json_extract(json_extract(payload, '$.facts'), '$.released_by'),
        '$.end_reason',
        json_extract(json_extract(payload, '$.facts'), '$.release_reason')
      ),
      '$.released_by',
      '$.release_reason'
    ) || ''
  )
  WHERE type = 'notify' AND json_extract(json_extract(payload, '$.facts'), '$.released_by') IS NOT NULL;
