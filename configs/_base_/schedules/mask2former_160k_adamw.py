"""160,000 iterations of ADE20K at a total batch of 16 (8 GPUs x 2 images), as mmseg's Mask2Former
of Swin.

Learning rates and weight decay of mask2former_50e_adamw.py, without its steps.
"""

_base_ = 'mask2former_50e_adamw.py'

max_iters, interval = 160_000, 5000
train_cfg = dict(
    _delete_=True, type='mmgcvit.IterBasedTrainLoop', max_iters=max_iters, val_interval=interval
)
poly = dict(type='PolyLR', eta_min=0, power=0.9, begin=0, end=max_iters, by_epoch=False)
param_scheduler = [poly]
