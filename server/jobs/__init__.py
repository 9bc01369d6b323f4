"""Jobs: their execution, the durable queue, retries, and recovery after a crash."""
