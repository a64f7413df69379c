-- By what a mail that came back is found where it has no token (docs/how-to/feedback.md).
ALTER TABLE events ADD COLUMN IF NOT EXISTS envid String CODEC(ZSTD(1)) AFTER message_id;
ALTER TABLE events ADD INDEX IF NOT EXISTS by_message_id message_id TYPE bloom_filter(0.01);
ALTER TABLE events ADD INDEX IF NOT EXISTS by_envid envid TYPE bloom_filter(0.01);
