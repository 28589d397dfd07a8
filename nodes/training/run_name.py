"""The check of a run's name before a graph starts."""

from ...training.run.naming import check_name


def accepted_name(name: str | None) -> bool | str:
    """True, or why the name is invalid; one from a link (None) is checked when the node runs."""
    if name is None:
        return True
    try:
        check_name(name)
    except ValueError as error:
        return str(error)
    return True
