"""ImageNetV2 at data/imagenetv2/, for testing any ImageNet-1K classifier at its own image size:

tools/test.py configs/gcvit_t_in1k.py CHECKPOINT --test-data configs/_base_/datasets/imagenet_v2.py

Matched frequency; in data_root also imagenetv2-threshold0.7-format-val and imagenetv2-top-images-format-val.
"""

test_dataloader = dict(
    dataset=dict(
        type='mmgcvit.ImageNetV2', data_root='data/imagenetv2/imagenetv2-matched-frequency-format-val', split=''
    )
)
