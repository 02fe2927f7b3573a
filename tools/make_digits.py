"""Make the digits data set: scanned handwritten digits in COCO's, ADE20K's and ImageNet's folder layouts.

The code is in mmgcvit/commands/make_digits.py.
"""

from mmgcvit.commands.make_digits import main

if __name__ == '__main__':
    main()
