"""Errors that are the user's to fix."""


class UserError(Exception):
    """A message that says what is wrong and what to do; the command line prints it without a traceback."""
