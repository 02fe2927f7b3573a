"""Train and test with mmengine's Runner. Read ``train.py`` first; ``work_dir.py`` chooses what a
run resumes from.

``hooks`` has one topic per file; ``hooks/exact_resume.py`` makes resuming bit-exact, with
``loops.py`` and ``sampler.py``.
"""
