"""A page on which one tries models: static, where the browser runs them (``building``), or served by this program,
which runs one (``server``, ``model``). Both have the same files (``page/``) and differ in ``models.json``, which says
where models run and which there are. Only commands import it. Begin with ``server.py``.
"""
