"""The command line: one file for each command, with ``add_options(parser)`` and ``main(args)``, which returns an exit
code, a sentence of what failed, or None. options.py and screen.py are shared. No other subpackage imports this one.
Begin with main.py: it lists the commands, runs them, and prints every error that a user can fix in one sentence.

To be quick to say no, a command imports at its top the standard library and what is as light: neither torch nor a host
is there for its help, for an option that is mistyped or for a file that is missing. ``main`` looks at the arguments
first (``check_*`` of options.py, files.py, config.py and inference/sources.py), and imports behind that what
does the work.
"""
