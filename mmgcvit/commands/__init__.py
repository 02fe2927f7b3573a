"""The command line: a file for each command, with ``parse_args()`` and ``main(args)``, which gives an exit code, a
sentence of what failed, or None; and beside them what several share: options.py, screen.py, steps.py, launcher.py.
No other room imports this one. main.py, where to begin, lists the commands, runs them, and says every error that a
user can mend in one sentence.
"""
