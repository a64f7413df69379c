"""Errors that end a command, with the exit codes of sysexits.

PostjetError
├── ConfigError        EX_CONFIG 78      the configuration is wrong
├── UsageError         EX_USAGE 64       the command line is wrong
├── NotFoundError      EX_NOINPUT 66     what was asked for is not there
├── CannotCreateError  EX_CANTCREAT 73   a file or folder cannot be written
└── UnavailableError   EX_TEMPFAIL 75    something else holds it, or does not answer; try again

The message of each is one line that names the thing and the remedy; commands print it without a traceback.
What can go wrong with one delivery is no error of a command: see ``outbound.reply``.
"""

import os


class PostjetError(Exception):
    """Something a person can put right."""

    exit_code = 1


class ConfigError(PostjetError):
    """The configuration is wrong."""

    exit_code = os.EX_CONFIG


class UsageError(PostjetError):
    """The command line is wrong."""

    exit_code = os.EX_USAGE


class NotFoundError(PostjetError):
    """What was asked for is not there."""

    exit_code = os.EX_NOINPUT


class CannotCreateError(PostjetError):
    """A file or folder cannot be written."""

    exit_code = os.EX_CANTCREAT


class UnavailableError(PostjetError):
    """Something else holds it, or it does not answer."""

    exit_code = os.EX_TEMPFAIL
