"""Random requests and random values of nodes: no fault of ours, no path of the machine, nothing changed elsewhere.

`LORA_BAKERY_FUZZ` is the number of cases of each kind, `LORA_BAKERY_SEED` another beginning of the random numbers.
"""

import json
import os
import random
from collections import Counter
from copy import deepcopy
from urllib.parse import quote

import pytest
from pack.tests.host.nodes.test_route_fields import DATASET, WRONG, state
from pack.tests.host.nodes.test_routes import ATTACKS, RUN, SET, compared, dataset, site, talk  # noqa: F401
from pack.tests.host.nodes.test_wrong_inputs import WRONG as WRONG_VALUES
from pack.tests.host.nodes.test_wrong_inputs import no_long_work, nodes, right_values, rights, run  # noqa: F401

pytestmark = pytest.mark.comfy
CASES = int(os.environ.get("LORA_BAKERY_FUZZ", "1000"))
SEED = int(os.environ.get("LORA_BAKERY_SEED", "0"))
RUNS = {
    "pause": {}, "resume": {}, "save": {}, "sample": {}, "stop": {}, "rate": {"factor": 0.5},
    "try": {"prompt": "fox", "seed": 1, "strength": 1.0}, "pick": {"step": 10, "was": None},
}  # fmt: skip
COMPARE = {"votes": {"add": [0, 1]}, "choice": {"cell": 0, "based_on": None}}


def word(noise):
    kind = noise.randrange(5)
    if kind == 0:
        return noise.choice(ATTACKS)
    if kind == 1:
        return noise.choice(
            ("a.png", "set", "made.png", ".excluded/a.png", "marks.json", "a.txt", "", "output", "temp")
        )
    pool = (range(1, 128), range(0x20, 0x3000), (*range(0xD7F0, 0xE010), 0x2028, 0xFEFF, 0x1F600))[kind - 2]
    return "".join(chr(noise.choice(pool)) for _ in range(noise.choice((1, 3, 9, 300))))


def value(noise, depth=0):
    kind = noise.randrange(6 if depth < 3 else 4)
    if kind < 2:
        return deepcopy(noise.choice(WRONG))  # `changed` writes into it
    if kind < 4:
        return word(noise)
    count = noise.choice((0, 1, 2, 9))
    if kind == 4:
        return [value(noise, depth + 1) for _ in range(count)]
    return {word(noise): value(noise, depth + 1) for _ in range(count)}


def changed(noise, right):
    """The right body with some of it replaced, dropped or added."""
    body = json.loads(json.dumps(right))
    for _ in range(noise.randrange(3)):
        place = body
        while isinstance(place, (dict, list)) and len(place):
            key = noise.choice(list(place)) if isinstance(place, dict) else noise.randrange(len(place))
            if noise.random() < 0.5 or not isinstance(place[key], (dict, list)):
                if noise.random() < 0.2:
                    del place[key]
                else:
                    place[key] = value(noise)
                break
            place = place[key]
    if noise.random() < 0.1:
        body[word(noise)] = value(noise)
    return body


def request(noise, path):
    """(method, path, options) of any route of ours."""
    address = quote(word(noise), safe="", errors="surrogatepass")
    if noise.random() < 0.3:
        pattern = noise.choice((
            "/bakery/runs?name={}", "/bakery/runs/{}", f"/bakery/runs/{RUN}?name={{}}", "/bakery/dataset?folder={}",
            f"/bakery/runs/{RUN}/previews/{{}}/step000000-00.png", f"/bakery/runs/{RUN}/previews/{SET}/{{}}",
            "/bakery/dataset?folder=set&metadata={}", "/bakery/dataset?folder=set&caption_extension={}",
            "/bakery/dataset/picture?folder={}&name=a.png", "/bakery/dataset/picture?folder=set&name={}",
            "/bakery/dataset/picture?folder=set&name=a.png&size={}", "/bakery/dataset/prompt?filename={}",
            "/bakery/dataset/prompt?filename=made.png&type={}", "/bakery/dataset/prompt?filename=made.png&node={}",
            "/bakery/compare/{}", path + "/{}", path + "/0000.png?size={}", "/bakery/dataset?folder=set&folder={}",
        ))  # fmt: skip
        return "GET", pattern.format(address), {}
    places = {
        **{f"/bakery/dataset/{action}": {"folder": "set", **body} for action, body in DATASET.items()},
        **{f"/bakery/runs/{RUN}/{command}": body for command, body in RUNS.items()},
        **{f"{path}/{action}": body for action, body in COMPARE.items()},
        f"/bakery/runs/{RUN}/{address}": {}, f"/bakery/compare/{address}/votes": {"votes": []},
    }  # fmt: skip
    target = noise.choice(list(places))
    body = json.dumps(changed(noise, places[target]))
    if noise.random() < 0.1:
        cut = noise.randrange(len(body))
        body = body[:cut] + noise.choice(("", "\x00", "[" * 9000, "\ufffd", '"')) + body[cut + noise.randrange(2) :]
    kind = "application/json" if noise.random() < 0.95 else noise.choice(("text/plain", "a/b;charset=utf-16"))
    return "POST", target, {"data": body.encode(), "headers": {"Content-Type": kind}}


def test_no_random_request_is_a_fault(dataset, compared, site, comfy):  # noqa: F811
    from pack.nodes.comfy_bridge.page import routes_register

    site.routes = routes_register
    site.live.open_run(site.folder, "1")
    noise = random.Random(SEED)
    requests = [request(noise, compared.path) for _ in range(CASES)]
    before = state(comfy.base)
    answers = talk(site, *requests)
    statuses = Counter(status for status, _, _ in answers)
    print(f"{CASES} requests, by status: {dict(sorted(statuses.items()))}")
    for (status, body, _), asked in zip(answers, requests, strict=True):
        assert status < 500, (asked, body)
        assert str(comfy.base).encode() not in body, asked
        if status >= 400 and asked[0] == "POST" and b"bakery" in body:
            raise AssertionError((asked, body))
    own = (comfy.base / "input", site.folder.root, compared.folder)
    elsewhere = {path for path, data in state(comfy.base).items() if before.get(path) != data}
    assert not [path for path in elsewhere if not any(folder in path.parents for folder in own)]
    assert set(statuses) & {200, 400, 404}


def test_no_random_value_of_a_node_is_a_fault(nodes, rights, no_long_work):  # noqa: F811
    noise = random.Random(SEED + 1)
    faults, ends = [], Counter()
    for _ in range(CASES):
        node = noise.choice(nodes)
        schema, values = node.GET_SCHEMA(), right_values(node, rights)
        for wanted in noise.sample(schema.inputs, min(len(schema.inputs), noise.randrange(1, 4))):
            wrong = noise.choice((*WRONG_VALUES.values(), word(noise), noise.uniform(-9, 9), noise.randrange(-9, 99)))
            values[wanted.id] = [wrong] if schema.is_input_list else wrong
        try:
            run(node, values)
            ends["ran"] += 1
        except ValueError as error:
            ends["ValueError"] += 1
            if "codec" in str(error):
                faults.append((schema.node_id, {k: str(v)[:40] for k, v in values.items()}, str(error)[:200]))
        except Exception as error:
            ends[type(error).__name__] += 1
            faults.append((schema.node_id, {key: str(found)[:40] for key, found in values.items()}, repr(error)[:200]))
    print(f"{CASES} executions: {dict(ends)}")
    assert not faults, "\n".join(map(str, faults[:10]))
