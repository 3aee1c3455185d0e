import threading

import pytest

from gigakit.data.prefetch import prefetched


def test_items_come_in_order_from_another_thread():
    threads = set()

    def make():
        for number in range(20):
            threads.add(threading.current_thread().name)
            yield number

    assert list(prefetched(make())) == list(range(20))
    assert threads == {"prefetch_0"}


def test_items_are_made_ahead_and_no_further():
    made = []

    def make():
        for number in range(20):
            made.append(number)
            yield number

    items = prefetched(make(), depth=3)
    assert next(items) == 0
    items.close()
    assert 3 <= len(made) <= 4


def test_an_error_comes_in_its_items_place():
    def make():
        yield 1
        raise ValueError("second")

    items = prefetched(make())
    assert next(items) == 1
    with pytest.raises(ValueError, match="second"):
        next(items)
