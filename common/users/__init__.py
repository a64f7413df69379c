"""Users: who may log in to send, as whom, with which options and how much."""
