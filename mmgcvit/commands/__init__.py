"""The command line: one file a command, with ``add_options(parser)`` and ``main(args)``, which returns an exit code, an
error message or None. Start with main.py: it lists the commands, runs them and prints errors.

To start quickly, a command imports neither torch nor OpenMMLab packages at its top. ``main`` checks the arguments first
and imports the rest afterwards.
"""
