"""Suppression: recipients that mail is not sent to, from whom, why, until when; in force in every process."""
