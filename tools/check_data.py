"""Look at all data that a config names: python tools/check_data.py CONFIG [options].

The code is in mmgcvit/commands/check_data.py.
"""

from mmgcvit.commands.check_data import main

if __name__ == '__main__':
    main()
