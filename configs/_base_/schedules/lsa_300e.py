"""300 epochs of LSA on 8 GPUs: AdamW, learning rate 5e-4 for each 512 images, cosine from 20 epochs
of warm-up on.

Clipping is the paper's; start and end of the learning rate and no decay of vectors are the released
scripts'.
"""

_base_ = 'adamw_cls.py'

images_per_gpu = 92
lr = 5e-4 * 8 * images_per_gpu / 512

train_cfg = dict(max_epochs=300)
warmup = dict(_base_.warmup, start_factor=1e-6 / lr)
cosine = dict(_base_.cosine, eta_min=1e-5)
param_scheduler = [warmup, cosine]
optim_wrapper = dict(optimizer=dict(lr=lr))
auto_scale_lr = dict(enable=False, base_batch_size=8 * images_per_gpu)
