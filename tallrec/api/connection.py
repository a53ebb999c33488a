"""The client of a server, made of its address, the key, and what the environment says of proxies and certificates."""

import os
import re

from openai import AsyncOpenAI, DefaultAsyncHttpxClient

from benchmark.errors import ServerError, reason_of
from tallrec.api.keys import silence, without
from tallrec.api.model import ApiModel


def connected(model: ApiModel, secret: str) -> AsyncOpenAI:
    """The client, which has not spoken with the server yet. To be made outside of an event loop.

    Raises:
        ServerError: there is none for this address in this environment.
    """
    silence()
    for name, value in os.environ.items():
        # Whatever reads such an address takes a part of the password for a port, and says so.
        if re.fullmatch("(?i)(https?|all)_proxy", name) and re.search("[/?#].*@", value.partition("://")[2] or value):
            problem = "the user or the password of a proxy holds /, ? or #; write %2F, %3F or %23"
            raise ServerError(f"{model.address}: environment variable {name}: {problem}")
    try:
        # Not to wherever a server points: what answers there is not what the address says, and a question that is
        # sent on as a GET has lost its body.
        http_client = DefaultAsyncHttpxClient(follow_redirects=False)
        return AsyncOpenAI(base_url=model.address, api_key=secret, max_retries=0, http_client=http_client)
    except Exception as error:  # noqa: BLE001  # of the client or whatever it is made of
        problem = without(reason_of(error), secret)
        what = "no client with this address and the proxies and certificates of the environment"
        raise ServerError(f"{model.address}: {what}: {problem}") from None
