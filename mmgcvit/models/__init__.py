"""The networks GC ViT and LSA, and their ablation variants. All subpackages but checkpoints may import them.

Begin in gcvit/backbone.py, then read gcvit/stage.py, gcvit/attention.py and layers/; base.py is what backbones inherit.
"""
