"""Mail in: listeners, SMTP dialogue, what to accept."""
