"""What training needs beyond the hosts: precision that fits the machine, TF32, sharding, rates by layer, progress."""
