"""Policies: at what pace, how and how long mail goes to whom."""
