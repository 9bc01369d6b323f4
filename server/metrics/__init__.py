"""Metrics for Prometheus at `/metrics`: one file for each group. docs/monitoring.md says what each one means."""
