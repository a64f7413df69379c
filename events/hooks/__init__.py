"""Webhooks: what happened, told to endpoints of the configuration over HTTP."""
