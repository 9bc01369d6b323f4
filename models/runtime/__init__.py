"""Running models: the pool that holds them, the queues in front of them, in this process or on Ray."""
