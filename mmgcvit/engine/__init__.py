"""Train and test with mmengine's Runner. Read ``train.py`` first; ``resume.py`` explains how runs are resumed.

``hooks`` has one topic per file. ``loops`` makes resuming bit-exact. ``precision`` sets the data type of mixed
precision and TF32. ``processes`` initialises the process group.
"""
