"""Who answers while a canary runs: a share of the conversations goes to the challenger, each of them always to one.

What the champion's name means is read anew for every request, so that a stage that goes up, or an end, counts at once;
a request that has begun is finished by the version that began it.
"""

from collections.abc import Mapping

from burnish.fingerprint import SHORT, fingerprint
from burnish.records import ModelVersion
from burnish.registry import get
from burnish.serve.asked import ChatAsked, TextAsked
from burnish.serve.catalog import Catalog
from burnish.serve.recorder import conversation_key, turns_of
from burnish.store.deployments import place_of, running_canary

HEADER = "x-conversation-id"


def conversation_of(asked: ChatAsked | TextAsked, headers: Mapping[str, str]) -> str:
    """A key that the turns of one conversation share, and no text.

    By the header x-conversation-id; else by the field `user`; else by how the conversation opens, up to the first
    message of the user, so that conversations that open alike count as one.
    """
    if name := headers.get(HEADER, "").strip():
        return _key("header", name)
    if asked.user:
        return _key("user", asked.user)
    return conversation_key(tuple(turns_of(asked)))


def routed(catalog: Catalog, name: str, versions: tuple[ModelVersion, ...], key: str) -> tuple[ModelVersion, ...]:
    """The versions that may answer a conversation, those that the catalog found included.

    A challenger that cannot be loaded leaves its place to the champion. Who asks for a version by its own name gets it.
    """
    if name != catalog.project:
        return versions
    canary = running_canary(catalog.store)
    if canary is None or canary.plan.mode != "split" or versions[0].name != canary.against:
        return versions
    if place_of(canary, key) >= canary.share:
        return versions
    return (get(catalog.store, canary.challenger), *versions)


def _key(kind: str, value: object) -> str:
    return fingerprint([kind, value])[:SHORT]
