"""Make miniatures of COCO, ADE20K and ImageNet-1K: their layout, files and classes, a few images of scanned digits.

The code is in mmgcvit/commands/make_miniature.py.
"""

from mmgcvit.commands.make_miniature import main

if __name__ == '__main__':
    main()
