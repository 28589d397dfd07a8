"""Splits a layer's size into two whole factors, as LoKr and diagonal OFT need it."""


def split(size: int, factor: int) -> tuple[int, int]:
    """Split a size into two whole factors, the smaller first: one is `factor` if that divides the size.

    Else the most even split whose smaller side is at most `factor` (-1 = no limit). 360: -1 gives 18 and 20. LyCORIS
    defines the format, so its function decides.
    """
    # Imported here: it is slow to import, and few algorithms need it.
    from lycoris.functional.general import factorization  # pyright: ignore[reportMissingTypeStubs]

    return factorization(size, factor)
