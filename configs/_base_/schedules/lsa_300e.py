"""300 epochs of LSA on 8 GPUs: AdamW, learning rate 5e-4 for each 512 images, cosine from 20 epochs
of warm-up on.

Clipping is the paper's; start and end of the learning rate and no decay of vectors are the released
scripts'.
"""

_base_ = 'adamw_cls.py'

images_per_gpu = 92
lr = 5e-4 * 8 * images_per_gpu / 512

train_cfg = dict(max_epochs=300)
warmup = dict(
    type='LinearLR',
    start_factor=1e-6 / lr,
    by_epoch=True,
    begin=0,
    end=20,
    convert_to_iter_based=True,
)
cosine = dict(
    type='CosineAnnealingLR',
    eta_min=1e-5,
    by_epoch=True,
    begin=20,
    end=300,
    convert_to_iter_based=True,
)
param_scheduler = [warmup, cosine]
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(enable=False, base_batch_size=8 * images_per_gpu)
