"""What is refused, as one table a subject."""

import re


def not_refused(call, cases):
    """Of cases (what is given, error, words), those that a call does not refuse with that error in those words."""
    wrong = []
    for given, error, words in cases:
        try:
            call(given)
        except error as refusal:
            if not re.search(words, str(refusal)):
                wrong.append((given, words, str(refusal)))
        else:
            wrong.append((given, 'was taken'))
    return wrong
