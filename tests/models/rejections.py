"""Check a table of bad arguments: each must raise its error with words of its message."""

import re


def find_accepted(call, cases):
    """The cases (argument, error, pattern of the message) that the call does not reject with that error."""
    wrong = []
    for argument, error, pattern in cases:
        try:
            call(argument)
        except error as rejection:
            if not re.search(pattern, str(rejection)):
                wrong.append((argument, pattern, str(rejection)))
        else:
            wrong.append((argument, 'was accepted'))
    return wrong
