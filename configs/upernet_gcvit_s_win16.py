"""UPerNet, GC ViT-S with windows of 16, ADE20K, 160,000 iterations.

Expected: no figure is published for these windows, see upernet_gcvit_s.py. Not run in full.

Windows of 16 in every stage: cheaper than 24, and maps of 512x512 crops divide into them without padding in the first
three stages.
"""

_base_ = 'upernet_gcvit_s.py'

model = dict(backbone=dict(window_size=16))
