"""Jobs: their execution, the durable queue they wait in, and their recovery after a crash."""
