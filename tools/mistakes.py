"""Confusion matrix and worst images: python tools/mistakes.py CONFIG [CHECKPOINT] [options].

The code is in mmgcvit/commands/mistakes.py.
"""

from mmgcvit.commands.mistakes import main

if __name__ == '__main__':
    main()
