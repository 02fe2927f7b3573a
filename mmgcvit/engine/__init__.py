"""What training needs beyond the hosts: precision that fits the machine, sharding, layer-wise learning rates."""
