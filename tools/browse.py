"""Samples of a data set with their augmentations: python tools/browse.py CONFIG [options].

The code is in mmgcvit/commands/browse.py.
"""

from mmgcvit.commands.browse import main

if __name__ == '__main__':
    main()
