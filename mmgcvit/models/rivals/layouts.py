"""The names in weights of networks with Swin's patch embedding: GC ViT's of this package, known by that part's norm."""

from dataclasses import replace

from ..gcvit.layouts import HERE

SWIN_STEM = replace(HERE, name='mmgcvit with patch embedding', anchor='stem.norm.weight', network='SwinWithoutShifting')
