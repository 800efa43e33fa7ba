"""Numbers for Prometheus; a label is the name of a project, a version or an endpoint, never what a client wrote."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from burnish.serve.backend import Backend

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)
NOBODY = "none"
"""Project or model of a request that none answered."""


class Metrics:
    """The metrics of one server."""

    def __init__(self, engine: Backend) -> None:
        self._registry = registry = CollectorRegistry()
        labels = ["endpoint", "project", "model"]
        self._requests = Counter("burnish_requests", "Requests by status", [*labels, "status"], registry=registry)
        self._tokens = Counter("burnish_tokens", "Tokens in and out", ["project", "model", "way"], registry=registry)
        self._first = Histogram(
            "burnish_first_token_seconds", "Until the first token", labels, buckets=SECONDS, registry=registry
        )
        self._whole = Histogram(
            "burnish_request_seconds", "Until the answer was whole", labels, buckets=SECONDS, registry=registry
        )
        loads = engine.pool.loads
        for name, what, value in (
            ("active_requests", "Requests being answered", lambda: engine.num_active),
            ("waiting_requests", "Requests that wait for a row", lambda: engine.num_waiting),
            ("adapters", "Adapters in memory", lambda: len(engine.pool.names)),
            ("adapters_loaded", "Adapters loaded since the start", lambda: loads.loaded),
            ("adapters_evicted", "Adapters that made room for others", lambda: loads.evicted),
            ("adapters_refused", "Adapters that failed their checks", lambda: loads.refused),
        ):
            Gauge(f"burnish_{name}", what, registry=registry).set_function(value)

    def watch(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Shows another number, as it is when somebody looks."""
        Gauge(f"burnish_{name}", what, registry=self._registry).set_function(value)

    def first_token(self, endpoint: str, project: str, model: str, seconds: float) -> None:
        """The first token of an answer came."""
        self._first.labels(endpoint, project, model).observe(seconds)

    def done(self, endpoint: str, project: str, model: str, status: int, seconds: float) -> None:
        """A request has ended."""
        self._requests.labels(endpoint, project, model, str(status)).inc()
        self._whole.labels(endpoint, project, model).observe(seconds)

    def tokens(self, project: str, model: str, prompt: int, answer: int) -> None:
        """What an answer took."""
        self._tokens.labels(project, model, "prompt").inc(prompt)
        self._tokens.labels(project, model, "answer").inc(answer)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)
