-- The endpoint that the mail named.
ALTER TABLE events ADD COLUMN IF NOT EXISTS webhook LowCardinality(String) AFTER bounce_type;
