"""The error for faults that the user can fix."""


class UserError(Exception):
    """Says what is wrong and what to do; the command line prints the message without a traceback."""
