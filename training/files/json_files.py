"""Reads JSON that other programs or users may have written."""

import json
from typing import Any


def read_json(text: str | bytes) -> Any:
    """Parse JSON.

    Raises:
        JSONDecodeError: It is not JSON, or nested too deeply; a ValueError.
    """
    try:
        return json.loads(text)
    except RecursionError:
        raise json.JSONDecodeError("lists and objects are nested too deep", "", 0) from None
    except json.JSONDecodeError:
        raise
    except UnicodeDecodeError:
        raise json.JSONDecodeError("the file is not UTF-8", "", 0) from None
    except ValueError:  # Python's limit
        raise json.JSONDecodeError("a number has thousands of digits", "", 0) from None
