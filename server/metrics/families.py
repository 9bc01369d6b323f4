"""Make the families of metrics whose values are read at a scrape."""

from collections.abc import Mapping

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric


def gauge(name: str, text: str, value: float) -> Metric:
    """Return a gauge with one value."""
    return GaugeMetricFamily(name, text, value=value)


def gauges(name: str, text: str, labels: str, values: Mapping[tuple[str, ...], float]) -> Metric:
    """Return a gauge with values by their labels. labels: their names, separated by spaces."""
    family = GaugeMetricFamily(name, text, labels=labels.split())
    for of, value in values.items():
        family.add_metric(of, value)
    return family


def counters(name: str, text: str, label: str, values: Mapping[str, float]) -> Metric:
    """Return a counter with values by one label. name: without the `_total` that it has in the text."""
    family = CounterMetricFamily(name, text, labels=[label])
    for of, value in values.items():
        family.add_metric([of], value)
    return family
