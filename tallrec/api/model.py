"""A model behind an address: how it is asked, and what the server says of itself that its name does not.

The name in `params.yaml` is only what the server is asked for: a local one may serve another model under it tomorrow.
"""

import ipaddress
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

TELLING = ("id", "root", "parent", "meta", "max_model_len", "digest")
"""Keys of an entry of `/models` that tell one model from another; others are those of all, or change by themselves."""
ENDPOINTS_OF_NUMBERS: Mapping[str, Mapping[str, str]] = {
    "generative_scoring": {"tokenize": "/tokenize", "generative_scoring": "/generative_scoring"},
    "score": {"tokenize": "tokenize", "score": "score"},
}
"""Endpoint of a model -> where what is asked of it lies: beside the version of an address (`/...`), or below it."""
SECONDS_OF_A_LIST = 3600
"""A `created` that is younger is the time of the list, or of the start of the server, and not that of the model."""


@dataclass(frozen=True, slots=True)
class ApiModel:
    """A model behind an address, and how it is asked."""

    address: str
    model: str
    key_variable: str | None
    """The environment variable with the key; None: the server needs none."""
    endpoint: str
    """`completions` or `chat`; or `generative_scoring` (vLLM) or `score` (SGLang), which score tokens."""
    n_top_logprobs: int | None
    """How many of the first token's log-probabilities are asked for; None: none."""
    parameters: Mapping[str, Any]
    """Sent as they are: temperature, number of tokens, ..."""
    max_concurrency: int
    """Questions under way at any moment."""
    timeout_seconds: float
    """Of one attempt, from its start to the last byte."""
    n_retries: int
    """Attempts after the first."""

    def question(self, prompt: str | Sequence[Mapping[str, str]]) -> dict[str, Any]:
        """All that `params.yaml` says of a reply, and without the address the body of the request."""
        is_chat = self.endpoint == "chat"
        logprobs = {} if self.n_top_logprobs is None else {"logprobs": self.n_top_logprobs}
        if is_chat and logprobs:
            logprobs = {"logprobs": True, "top_logprobs": self.n_top_logprobs}
        asked = {"messages": list(prompt)} if is_chat else {"prompt": prompt}
        body = {"model": self.model, **asked, **logprobs, **self.parameters}
        return {"address": self.address.rstrip("/"), "endpoint": self.endpoint, "body": body}

    def asked(self, endpoint: str, **body: Any) -> dict[str, Any]:
        """The same of an endpoint that replies with numbers; the tokens of a text are asked where scores are."""
        path = ENDPOINTS_OF_NUMBERS[self.endpoint][endpoint]
        base = self.address.rstrip("/")
        url = f"{base.removesuffix('/v1')}{path}" if path.startswith("/") else f"{base}/{path}"
        return {"address": base, "endpoint": endpoint, "url": url, "body": {"model": self.model, **body}}

    @property
    def is_local(self) -> bool:
        """Whether the server is on this machine or its network, where what is served changes by the user's hand."""
        host = urlsplit(self.address).hostname or ""
        try:
            return ipaddress.ip_address(host).is_private
        except ValueError:
            return "." not in host or host.endswith((".local", ".localhost", ".internal"))

    def identity_in(self, listing: object) -> dict[str, Any]:
        """What the server's list of models says of this one beyond the name it is asked for; empty if nothing."""
        entries = listing.get("data") if isinstance(listing, Mapping) else None
        found = [entry for entry in entries if isinstance(entry, Mapping)] if isinstance(entries, list) else []
        named = [entry for entry in found if entry.get("id") == self.model]
        entry = named[0] if named else found[0] if len(found) == 1 else {}
        told = {key: entry[key] for key in TELLING if entry.get(key) not in (None, "", self.model)}
        created = entry.get("created")
        if self.is_local and isinstance(created, int) and 0 < created < time.time() - SECONDS_OF_A_LIST:
            told["created"] = created
        return told


def served_by(body: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Model and fingerprint that a reply names; None where it does not."""
    model, fingerprint = (body.get(key) for key in ("model", "system_fingerprint"))
    return model if isinstance(model, str) else None, fingerprint if isinstance(fingerprint, str) else None
