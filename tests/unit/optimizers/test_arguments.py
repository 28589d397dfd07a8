"""Optimizer arguments as text."""

import pytest
from pack.training.optimizers.arguments import parse_arguments


@pytest.mark.parametrize(
    ("text", "arguments"),
    [
        ("", {}),
        ("  \n ", {}),
        ("eps=1e-8", {"eps": 1e-8}),
        (
            "decouple=True weight_decay=0.01 betas=0.9,0.999",
            {"decouple": True, "weight_decay": 0.01, "betas": (0.9, 0.999)},
        ),
        ("betas = (0.9, 0.99)\neps=None;mode='a b'", {"betas": (0.9, 0.99), "eps": None, "mode": "a b"}),
        ("a=1, b=[2, 3],", {"a": 1, "b": [2, 3]}),
    ],
)
def test_pairs_of_name_and_literal(text, arguments):
    assert parse_arguments(text) == arguments


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0.9", "name=value"),
        ("eps", "name=value"),
        ("=3", "name=value"),
        ("eps=1 eps=2", "eps twice"),
        ("mode=fast", "mode must be a Python literal.*'fast'"),
        ("eps=", "eps must be a Python literal"),
        ("eps=__import__('os').getcwd()", "eps must be a Python literal"),
        ("eps=" + "(" * 5000, "eps must be a Python literal"),
    ],
)
def test_anything_else_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        parse_arguments(text)
