"""Rehearse a run in minutes before it takes days: python tools/dry_run.py CONFIG [options].

The code is in mmgcvit/commands/dry_run.py.
"""

from mmgcvit.commands.dry_run import main

if __name__ == '__main__':
    main()
