"""Convert a checkpoint between the layouts in which it exists: tools/convert_checkpoint.py SRC DST [--to LAYOUT].

The code is in mmgcvit/commands/convert_checkpoint.py.
"""

from mmgcvit.commands.convert_checkpoint import main

if __name__ == '__main__':
    main()
