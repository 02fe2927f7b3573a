"""The networks GC ViT and LSA, and their ablation variants. All subpackages except checkpoints may import this one.

Begin in gcvit/backbone.py, then read gcvit/stage.py, gcvit/attention.py and layers/. base.py has the base class.
"""
