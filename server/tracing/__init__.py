"""Traces of OpenTelemetry: a span for each request and for each stage of its work."""
