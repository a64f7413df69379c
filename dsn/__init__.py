"""Feedback in: bounces, complaints, auto-replies and replies that come back by mail."""
