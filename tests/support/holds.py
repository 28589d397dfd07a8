"""How long a call keeps the other threads of its process waiting for the interpreter."""

import threading
import time
from collections.abc import Callable

from .fixtures import freeze


def longest_hold(act: Callable[[], object]) -> float:
    """Call `act` while a second thread asks for the interpreter every millisecond, as a server's event loop does.

    Time in which other programs had the processor does not count, nor the collection of what was there before: after
    thousands of tests that takes the most of a second.

    Returns:
        The longest wait of the other thread, in seconds.

    Raises:
        Exception: what `act` raises.
    """
    holds, is_over = [0.0], threading.Event()

    def beat() -> None:
        while not is_over.is_set():
            start, used = time.perf_counter(), time.process_time()
            time.sleep(0.001)
            holds.append(min(time.perf_counter() - start, time.process_time() - used))

    heart = threading.Thread(target=beat)
    freeze()
    heart.start()
    try:
        act()
    finally:
        is_over.set()
        heart.join()
    return max(holds)
