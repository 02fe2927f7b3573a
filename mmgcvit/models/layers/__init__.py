"""Layers that GC ViT and LSA share. They import no library other than torch.

``blocks``, ``attention``, ``position`` and ``lora`` have parameters or the papers' formulas.
``windows``, ``resizing`` and ``padding`` change the shape of maps and images. ``arguments`` checks
arguments.
"""
