"""Train and test with mmengine's Runner. Read ``train.py`` first; ``resume.py`` explains how runs are resumed.

``hooks`` has one topic per file, ``loops`` makes resuming bit-exact, ``precision`` chooses mixed precision and TF32,
and ``processes`` sets up the process group.
"""
