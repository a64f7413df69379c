-- Columns with personal data are emptied before their rows go ([events] keep_personal), which an engine does only where
-- it may rewrite a part for its TTL. All rows of a part expire at the same moment (events/schema.py), so parts whose
-- rows are too old are dropped as before. A TTL that changes is worked out anew without rewriting anything.
ALTER TABLE events MODIFY SETTING ttl_only_drop_parts = 0, materialize_ttl_recalculate_only = 1;
