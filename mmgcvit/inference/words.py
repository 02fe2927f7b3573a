"""Words for people."""


def counted(number: int, one: str) -> str:
    """``1 image``, ``2 images``: a number before what it counts, whose plural ends in -s."""
    return f'{number} {one}' if number == 1 else f'{number} {one}s'
