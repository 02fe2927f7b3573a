"""GC ViT-T with windows of 14, UPerNet, ADE20K, 160,000 iterations.

Expected: no figure is published for these windows. Not run in full by this project.
Memory:   not measured on a GPU.
--amp:    as in ../upernet_gcvit_t.py.

Windows of 14 in every stage; ../upernet_gcvit_t.py has windows of 24, ../upernet_gcvit_t_win16.py of 16.
"""

_base_ = '../upernet_gcvit_t.py'

model = dict(backbone=dict(window_size=14))
