"""Layers that GC ViT and LSA share. They import no library other than torch.

``blocks``, ``attention``, ``position`` and ``lora`` have parameters or the papers' formulas.
``windows``, ``resizing``, ``padding`` and ``layouts`` change the shape of maps and images.
``autocast`` and ``tracing`` say how a layer is run. ``arguments`` checks arguments.
"""
