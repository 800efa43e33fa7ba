"""Short linear algebra runs on one thread, whatever the machine has, and leaves everything else as it was."""

import numpy as np
import scipy.linalg  # loads SciPy's own OpenBLAS
from threadpoolctl import threadpool_info, threadpool_limits

from burnish.blas import one_thread


def num_threads():
    """Threads of every BLAS in the process."""
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


@one_thread()
def seen_by_a_function():
    return num_threads()


def test_inside_blas_has_one_thread_and_afterwards_what_it_had():
    assert scipy.linalg.norm(np.ones(4)) == 2.0
    with threadpool_limits(limits=2, user_api="blas"):
        assert num_threads() == {2}
        assert seen_by_a_function() == {1}
        assert num_threads() == {2}
