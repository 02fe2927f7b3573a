"""Training and testing on mmengine's Runner. Begin with ``train.py``; ``resume.py`` says where a run is saved.

Subpackages from ``inference`` on may import it. ``hooks`` holds one subject a file; ``loops`` makes resumed runs exact;
``precision`` and ``processes`` fit a run to its machine.
"""
