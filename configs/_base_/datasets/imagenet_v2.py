"""ImageNetV2, matched frequency, at data/imagenetv2/, for testing any ImageNet-1K classifier at its own image size:

tools/test.py configs/gcvit_t_in1k.py CHECKPOINT --test-data configs/_base_/datasets/imagenet_v2.py

For threshold 0.7 or top images copy this file and change the folder.
"""

test_dataloader = dict(
    dataset=dict(
        type='mmgcvit.ImageNetV2', data_root='data/imagenetv2/imagenetv2-matched-frequency-format-val', split=''
    )
)
