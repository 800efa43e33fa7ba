"""Linear algebra on short vectors, by one thread: several would wait for each other longer than they compute.

A solver of scikit-learn sweeps a vector of some ten thousand numbers thousands of times. OpenBLAS cuts each sweep in
two and lets the threads spin until both halves are there: on two shared cores five fits of `synthesize/votes.py` took
19.2 seconds of processor time so and 1.7 on one thread, a check of 1,300 gold answers 14.8 and 0.6. Sums then have one
order, so the same data give the same bits on every number of cores.
"""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def one_thread() -> Iterator[None]:
    """Inside, or around a function, NumPy, SciPy and scikit-learn multiply on the calling thread alone.

    It holds for the whole process while it lasts; torch has threads of its own and is not concerned.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1, user_api="blas"):
        yield
