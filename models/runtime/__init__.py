"""Running models: the pool that holds them and the scheduler with its queues, in this process or on Ray."""
