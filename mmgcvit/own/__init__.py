"""The application for pictures of one's own: ``train --data``, labels, mistakes.

It is built on the library, which is all else but ``commands``. The library imports nothing of it.
"""
