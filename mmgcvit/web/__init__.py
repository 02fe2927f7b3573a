"""A page on which one tries models: static, where the browser runs them, or served by this program, which does.

Both have the same files (``page/``) and differ in ``models.json``, which says where models run and which there are.
"""
