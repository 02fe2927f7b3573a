"""What training needs beyond the hosts: precision that fits the machine, sharding, rates by layer, and its progress."""
