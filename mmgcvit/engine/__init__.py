"""What training needs beyond the hosts: precision that fits the machine, TF32, sharding, layer-wise learning rates."""
