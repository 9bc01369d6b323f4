"""Models on a Ray cluster: deployments, replicas and the engine that calls them."""
