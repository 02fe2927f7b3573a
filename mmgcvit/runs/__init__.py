"""The folder of a run, its work dir.

``folder`` knows the names of its files, finds its config, and reads its checkpoints; ``lock`` lets
one training at a time write into it. Where the data of a run are after they have moved is in
``own/runs``.
"""
