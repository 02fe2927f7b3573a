"""Training and testing on mmengine's Runner. Start with ``train.py``; ``resume.py`` explains saving and resuming.

``hooks`` has one hook a file, ``loops`` makes resumed runs exact, ``precision`` and ``processes`` adapt a run to its
machine.
"""
