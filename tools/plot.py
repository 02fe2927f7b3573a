"""Curves of trainings: python tools/plot.py WORK_DIR [WORK_DIR ...] [options].

The code is in mmgcvit/commands/plot.py.
"""

from mmgcvit.commands.plot import main

if __name__ == '__main__':
    main()
