"""Train and test with mmengine's Runner. Read ``train.py`` first; ``resume.py`` explains resuming.

``hooks`` has one topic per file. ``loops`` makes resuming bit-exact. ``setup`` checks the machine and the data, and
initialises the process group. ``optim`` chooses the data type of mixed precision.
"""
