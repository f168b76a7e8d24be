-- Shape 3: receivers of two versions. `knows` is the last shape that a receiver's version knows. A version that knows
-- less than `needs` cannot use the journal any more.
ALTER TABLE receiver ADD COLUMN knows integer NOT NULL DEFAULT 2;
ALTER TABLE chain_head ADD COLUMN needs integer NOT NULL DEFAULT 2;
