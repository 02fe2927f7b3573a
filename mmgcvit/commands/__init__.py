"""The command line, with one file for each command. Start with main.py, which lists and runs them and prints errors.

Each file defines ``add_options(parser)`` and ``main(args)``, which returns an exit code, an error message or None. To
start quickly, it does not import torch or OpenMMLab packages at the top: ``main`` first checks the arguments, then
imports what it needs.
"""
