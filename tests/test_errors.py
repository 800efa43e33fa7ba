"""The error tree: exit codes as documented, and a hint where a user can act."""

import re

from burnish import errors
from burnish.errors import BurnishError


def subclasses(kind):
    return [kind] + [deeper for child in kind.__subclasses__() for deeper in subclasses(child)]


def test_the_drawn_tree_is_the_real_tree_with_its_exit_codes():
    drawn = dict(re.findall(r"^ *(\w+) +.* exit (\d+)$", errors.__doc__, re.MULTILINE))
    real = {kind.__name__: str(kind.exit_code) for kind in subclasses(BurnishError)}
    assert drawn == real


def test_an_error_keeps_its_message_and_hint():
    error = BurnishError("no vault is left", hint="add examples")
    assert (str(error), error.hint) == ("no vault is left", "add examples")
