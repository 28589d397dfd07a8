"""Bodies are read as Python's own JSON reads them, within limits, and never hold the other threads for long."""

import json
import math
import random
import sys
import time

import pytest
from pack.tests.support.holds import longest_hold

pytestmark = pytest.mark.comfy
LONGEST_HOLD_S = 0.1


@pytest.fixture
def text(comfy):
    from pack.nodes.comfy_bridge.page import json_text

    return json_text


def made(noise, depth=0):
    """Any value of JSON."""
    kind = noise.randrange(5 if depth > 3 else 7)
    if kind < 3:
        return noise.choice(
            [None, True, False, 0, -1, 2**64, 1e-7, -0.5, 1e300, "", "\\", '"', "\n\t", "é🦊", "a" * 99]
        )
    if kind < 5:
        return "".join(chr(noise.randrange(1, 0x2FF)) for _ in range(noise.randrange(20)))
    if kind == 5:
        return [made(noise, depth + 1) for _ in range(noise.randrange(5))]
    return {str(noise.random()): made(noise, depth + 1) for _ in range(noise.randrange(5))}


@pytest.mark.parametrize("seed", range(200))
def test_it_reads_and_writes_as_pythons_own(text, seed):
    value = made(random.Random(seed))
    for raw in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert text.parse_json(raw.encode()) == value
    assert json.loads(text.json_bytes(value)) == value


@pytest.mark.parametrize("seed", range(300))
def test_broken_json_is_refused_as_pythons_own_refuses_it(text, seed):
    noise = random.Random(seed)
    raw = json.dumps({"a": made(noise), "b": [1, "x", {"c": None}]})
    place = noise.randrange(len(raw))
    raw = raw[:place] + noise.choice(['"', "{", "]", ",", ":", "\\", "x", "\x00", "", "NaN"]) + raw[place + 1 :]
    try:
        expected = json.loads(raw, parse_constant=lambda word: (_ for _ in ()).throw(ValueError(word)))
    except ValueError:
        with pytest.raises(ValueError, match="body"):
            text.parse_json(raw.encode())
    else:
        found = text.parse_json(raw.encode())
        assert json.dumps(found) == json.dumps(expected)


def test_long_lists_are_written_in_pieces_and_whole(text):
    value = {
        "curves": {"loss": [[step, step / 7] for step in range(1000)]},
        "before": {str(n): "x" for n in range(999)},
    }
    assert json.loads(text.json_bytes(value)) == value
    with pytest.raises(ValueError):
        text.json_bytes({"a": [math.nan] * 300})


@pytest.mark.parametrize(
    ("raw", "named"),
    [
        (b"[" * 100_000, "deep"),
        (b'{"a":' * 100_000, "deep"),
        (b"[[[[[[[[]]]]]]]]", "deep"),
        (b'{"a": [' + b"[]," * 30_000 + b"[]]}", "lists and objects"),
        (b"[" + b"1," * 600_000 + b"1]", "values"),
        (b'"' + b"a" * 200_000 + b'"', "characters"),
        (b'{"a": "\\ud8"}', "escapes"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b"1e400x", "end"),
        (b"9" * 5000, "end"),
        (b"\xff\xfe[\x00]\x00", "UTF-8"),
        ("[1]".encode("utf-16"), "UTF-8"),
        (b"\xef\xbb\xbf{}", "value"),
        (b"NaN", "value"),
        (b"-Infinity", "value"),
        (b"", "value"),
        (b" " * 50_000, "value"),
    ],
)
def test_what_is_beyond_the_limits_is_named(text, raw, named):
    start = time.perf_counter()
    with pytest.raises(ValueError, match=named):
        text.parse_json(raw)
    assert time.perf_counter() - start < 5


SIZE = 32 << 20
WORST = {
    "open lists": b"[" * SIZE,
    "empty lists": b"[" + b"[]," * (SIZE // 3),
    "numbers": b"[" + b"1," * (SIZE // 2),
    "digits": b"9" * SIZE,
    "decimals": b"0." + b"9" * SIZE,
    "one text": b'"' + b"a" * SIZE + b'"',
    "one text of escapes": b'"' + b'\\"' * (SIZE // 2) + b'"',
    "long texts with escapes": b"[" + (b'"' + b"a" * 70_000 + b'\\n",') * (SIZE // 70_004),
    "captions": b"{" + b",".join(b'"%d.png": "%s"' % (n, b"fox, red hair, " * 20) for n in range(100_000)) + b"}",
    "captions of 3 bytes a letter": ('["' + '","'.join(["狐狸，" * 5000] * 700) + '"]').encode(),
    "white space": b" " * SIZE,
    "no UTF-8 at the end": b'["' + b"a" * SIZE + b"\xff",
}


@pytest.mark.parametrize("kind", WORST)
def test_no_body_holds_the_other_threads(text, kind):
    said = ["read"]

    def read():
        try:
            text.parse_json(WORST[kind])
        except ValueError as error:
            said.append(str(error)[:60])

    switch = sys.getswitchinterval()
    hold_s = longest_hold(read)
    print(f"{kind}: the other thread waited {1000 * hold_s:.0f} ms at most; {said[-1]}")
    assert sys.getswitchinterval() == switch
    assert hold_s < LONGEST_HOLD_S
