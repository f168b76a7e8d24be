-- Shape 4: which host has which flag. `guards`: a policy of the host's receiver names the flag. `state` is frozen,
-- unfreezing or unfrozen; `error` says why the flag could not be written or removed.
CREATE TABLE flag_on_host (
  path plain NOT NULL, host plain NOT NULL, service plain NOT NULL, guards integer NOT NULL, state plain NOT NULL,
  changed_at plain NOT NULL, error plain NOT NULL DEFAULT '', PRIMARY KEY (path, host)
);
CREATE INDEX flag_on_host_host ON flag_on_host (host);
