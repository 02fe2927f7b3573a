"""Layers that GC ViT and LSA share. They import no library other than torch.

``blocks``, ``windows``, ``position``, ``attention`` and ``resizing`` define the network. ``arguments`` checks its
arguments.
"""
