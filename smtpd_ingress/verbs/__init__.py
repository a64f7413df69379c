"""The commands of SMTP, each a function: the session and the argument in, a reply or an action out.

They raise ``smtpd_ingress.rejection.RefusedError`` for every refusal.
"""
