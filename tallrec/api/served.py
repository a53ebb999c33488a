"""Which model answers behind an address, as far as the server says: kept replies of another one do not count."""

import asyncio
from collections.abc import Mapping, Set
from typing import Any

from openai import APIConnectionError, APIStatusError, AsyncOpenAI, OpenAIError

from benchmark.errors import ConfigError, ServerError
from tallrec.api.bodies import body_of, passes
from tallrec.api.cache import ReplyCache, key_of
from tallrec.api.connection import connected
from tallrec.api.keys import secret_of
from tallrec.api.model import ApiModel, served_by

LISTING_SECONDS = 10.0
"""A server that does not list its models within this time is taken to have no list."""


def identity(model: ApiModel, cache: ReplyCache) -> dict[str, Any]:
    """What the server says of the model it serves under this name, for the keys of the cache; empty if nothing.

    Of a server that cannot be reached, or answers with an error that passes, what it said last.
    """
    key = key_of({"models of": model.address.rstrip("/"), "model": model.model})
    try:
        client = connected(model, secret_of(model.key_variable))
        listing = body_of(asyncio.run(_listed(client, model)))
    except (ConfigError, ServerError, APIConnectionError, TimeoutError):
        told = cache.get(key) or {}
    except APIStatusError as error:
        told = (cache.get(key) or {}) if passes(error.status_code) else {}
    except (OpenAIError, ValueError):  # it has no such list
        told = {}
    else:
        told = model.identity_in(listing)
        cache.put(key, {}, told)
    return {"served": told} if told else {}


async def _listed(client: AsyncOpenAI, model: ApiModel) -> bytes:
    async with asyncio.timeout(min(model.timeout_seconds, LISTING_SECONDS)), client:
        return (await client.models.with_raw_response.list()).content


def of_another(model: ApiModel, bodies: Mapping[str, Mapping[str, Any]], asked: Set[str]) -> list[str]:
    """Keys of kept replies that another model gave than the one that has answered in this run.

    On a local server a different fingerprint tells too; of a hosted one it changes by itself.
    """
    now = [served_by(bodies[key]) for key in asked]
    models, fingerprints = ({one[place] for one in now if one[place]} for place in (0, 1))
    return [
        key
        for key, body in bodies.items()
        if key not in asked
        and any(
            told and known and told not in known
            for told, known in zip(served_by(body), (models, fingerprints if model.is_local else ()), strict=True)
        )
    ]
