"""OpenMMLab, torch and the machine below this package: what it needs of them, and where it helps them out of a fault.

One file a host, whose fault a workaround is: ``mmengine``, ``mmdet`` (``panoptic``: a package it asks for), ``mmseg``,
``mmpretrain``; each fault says when its workaround may go. Every room may import it. Begin with ``configs``, which
reads configs; the names under which these find what this package has are in :mod:`mmgcvit.registry`.
"""
