"""ImageNet-1K for GC ViT's xxtiny, tiny, base and large: imagenet_1k_gcvit.py with a crop of 1.0 at test.

The short side becomes 224 px and the middle square is taken, as in the released validate.py, which asks the model. The
paper does not say; every released .yml, with which train.py validates, and timm's metadata of the older weights say
0.875 for every model:
    --cfg-options test_dataloader.dataset.pipeline.1.scale=256
"""

_base_ = 'imagenet_1k_gcvit.py'

test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = 224
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
