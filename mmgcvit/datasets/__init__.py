"""Data sets: ImageNetV2 for mmpretrain, the demo's digits, and miniatures of COCO, ADE20K and ImageNet-1K."""
