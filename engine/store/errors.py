"""What the store cannot do for the user."""


class StoreError(Exception):
    """One sentence: which file, what is wrong, what mends it."""
