"""What is wrong with settings, and what may be meant."""

import functools
import logging
import re
from collections.abc import Mapping
from difflib import get_close_matches

from pydantic_core import ErrorDetails

from viewfinder.settings.naming import NESTING, PREFIX, environment_name
from viewfinder.settings.tree import all_names

logger = logging.getLogger(__name__)

# What Kubernetes tells every container of each service in its namespace.
_OF_A_SERVICE = re.compile(
    r"_(SERVICE_(HOST|PORT(_\w+)?)|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$"
)
_LINK = re.compile(r"(tcp|udp|sctp)://")
_NO_LINKS = (
    "; Kubernetes sets VIEWFINDER_PORT for a service of that name: set enableServiceLinks: false "
    "in the pod"
)


def strangers_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The names that look like settings, are none, and would be passed over without a word.

    What Kubernetes sets for services whose names begin with `viewfinder` is left out. What stands
    in a group of settings is, too: that is refused.

    Args:
        environment: All variables.
    """
    names = all_names()
    groups = tuple(f"{environment_name(name.partition('.')[0])}{NESTING}" for name in names)
    known = {environment_name(part) for name in names for part in (name, name.partition(".")[0])}
    return tuple(
        name
        for name, value in sorted(environment.items())
        if (called := name.upper()).startswith(PREFIX)
        and called not in {*known, f"{PREFIX}CONFIG"}
        and not called.startswith(groups)
        and not (_OF_A_SERVICE.search(called) or _LINK.match(value))
    )


@functools.cache
def tell_of_strangers(names: tuple[str, ...]) -> None:
    """Warn, once."""
    known = [environment_name(name) for name in all_names()]
    for name in names:
        near = get_close_matches(name.upper(), known, n=1)
        meant = f"did you mean {near[0]}?" if near else "docs/settings.md has them all"
        logger.warning("%s in the environment is no setting and does nothing; %s", name, meant)


def explain(error: ErrorDetails) -> str:
    """What is wrong with a setting, and what may be meant."""
    name = ".".join(str(part) for part in error["loc"])
    if error["type"] == "extra_forbidden":
        near = get_close_matches(name, all_names(), n=1)
        meant = f"did you mean {near[0]}?" if near else "docs/settings.md has them all"
        return f"the setting {name} is not valid: there is none of that name; {meant}"
    is_link = name in {"port", "host"} and _LINK.match(str(error["input"]))
    return f"the setting {name} is not valid: {error['msg']}{_NO_LINKS if is_link else ''}"
