"""Train and test with mmengine's Runner. Read ``train.py`` first; ``resume.py`` explains resuming.

``hooks`` has one topic per file. ``loops`` makes resuming bit-exact. ``precision`` chooses the data type of mixed
precision and switches TF32. ``processes`` initialises the process group.
"""
