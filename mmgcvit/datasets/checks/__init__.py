"""Check datasets before training: annotation files completely, and all images or a random sample.

Start with ``datasets.py``. Each module defines the issues that it finds as constants of class :class:`.issues.Issue`.
"""
