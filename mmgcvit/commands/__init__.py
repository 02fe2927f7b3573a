"""The command line. Read main.py first: it lists the commands, runs them and prints their errors.

Each command has a file that defines ``add_options(parser)`` and ``main(args)``, which returns an
exit code or None. The file does not import torch or OpenMMLab packages at the top, so that
``--help`` and errors appear quickly: ``main`` first checks the arguments, then imports what it
needs. All commands share options.py.
"""
