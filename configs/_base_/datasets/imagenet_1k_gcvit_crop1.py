"""ImageNet-1K for GC ViT's xxtiny, tiny, base and large: imagenet_1k_gcvit.py with a crop of 1.0 at
test.

As in the released validate.py, which asks the model. For the 0.875 of every released .yml
(docs/recipes.md):
    --cfg-options test_dataloader.dataset.pipeline.1.scale=256
"""

_base_ = 'imagenet_1k_gcvit.py'

test_pipeline = [_base_.load, dict(_base_.test_resize, scale=224), _base_.test_crop, _base_.pack]
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
