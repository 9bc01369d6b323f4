"""The page of the operator at `/admin`: what this server does, for whom, and what it refused."""
