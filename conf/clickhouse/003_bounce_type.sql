-- hard or soft, beside the class.
ALTER TABLE events ADD COLUMN IF NOT EXISTS bounce_type LowCardinality(String) AFTER bounce_class;
