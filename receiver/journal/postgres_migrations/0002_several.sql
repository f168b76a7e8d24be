-- Shape 2: several receivers. One of them leads until `lead_until`, by the clock of this server; `fence` counts leaders.
ALTER TABLE chain_head
  ADD COLUMN lead plain NOT NULL DEFAULT '', ADD COLUMN lead_place plain NOT NULL DEFAULT '',
  ADD COLUMN lead_until timestamptz NOT NULL DEFAULT '-infinity', ADD COLUMN fence bigint NOT NULL DEFAULT 0;

-- Who runs, and when each receiver was last seen. A place is a host and a state directory.
CREATE TABLE receiver (
  place plain PRIMARY KEY, id plain NOT NULL, host plain NOT NULL, version plain NOT NULL, seen_at timestamptz NOT NULL
);
