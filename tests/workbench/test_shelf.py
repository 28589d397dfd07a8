"""Results of calls that run at the same time are all kept."""

from pack.workbench.comparison.contestants import Contestant
from pack.workbench.comparison.shelf import Shelf
from pack.workbench.comparison.trial import Scale, Trial


def test_two_calls_at_once_keep_what_both_added(tmp_path):
    one, two = Shelf(tmp_path), Shelf(tmp_path)
    trials = [Trial(contestant=Contestant(name="x"), rate=rate, seed=1, scale=Scale()) for rate in (1e-3, 2e-3)]
    one.add(trials[0], {"identity": 0.1}, {})
    two.add(trials[1], {"identity": 0.2}, {})
    assert Shelf(tmp_path).results == {trials[0].key: {"identity": 0.1}, trials[1].key: {"identity": 0.2}}
