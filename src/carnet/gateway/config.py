"""What a gateway is told by its operator: the upstreams, the models behind them and what they can do, who
calls with which key, and where whoever is refused can turn to. One TOML file; keys of upstreams are never in
it."""

import re
from collections.abc import Mapping
from typing import Annotated, Literal, TypeVar

from msgspec import Meta, Struct

from carnet.gateway.calls import Dialect, Needs
from carnet.model.errors import InputError
from carnet.model.near import nearest
from carnet.model.plain import short
from carnet.model.reading import decode
from carnet.model.written import Country

T = TypeVar("T")
_KEY = re.compile(r"[0-9a-f]{12}")
Name = Annotated[str, Meta(min_length=1, max_length=256, pattern=r"^[!-~]+$")]
Url = Annotated[str, Meta(max_length=2000, pattern=r"^https?://[!-~]+$")]
Count = Annotated[int, Meta(ge=0)]
EndUsers = Literal["none", "header", "body"]

BYTES_PER_TOKEN = 2
"""So many bytes of a question are taken to be a token: fewer than in any language that models read well, so
that what is said to fit does."""


class Upstream(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model API. `key_env` names the variable of the environment that holds its key, `key_file` a file that
    nobody else may read; without either none is sent. It is asked for `check_path` now and then, if there is
    one, to see whether it is there."""

    name: Name
    url: Url
    key_env: str | None = None
    key_file: str | None = None
    key_header: Literal["x-api-key", "authorization"] = "authorization"
    check_path: Annotated[str, Meta(pattern=r"^/[!-~]*$")] | None = None


class Model(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A model as callers name it, word for word, and the item that it is to the law. What it can do is said
    so that nobody is handed to one that can't."""

    name: Name
    item: Name
    provider: Name
    upstream: Name
    dialects: tuple[Dialect, ...]
    aliases: tuple[Name, ...] = ()
    upstream_model: Name | None = None
    served_from: Country | None = None
    context_tokens: Count = 0
    output_tokens: Count = 0
    tools: bool = False
    images: bool = False
    documents: bool = False
    json: bool = False

    @property
    def sent_as(self) -> str:
        """What its upstream calls it."""
        return self.upstream_model or self.name

    def lacks(self, needs: Needs) -> str | None:
        """What a question needs and this model does not have; None if it can answer."""
        for ability in ("tools", "images", "documents", "json"):
            if getattr(needs, ability) and not getattr(self, ability):
                return ability
        if self.output_tokens and needs.output_tokens > self.output_tokens:
            return "output_tokens"
        whole = needs.input_bytes // BYTES_PER_TOKEN + needs.output_tokens
        return "context_tokens" if self.context_tokens and whole > self.context_tokens else None


class Caller(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who calls with an API key, by the key's id: the subject that it stands for, and whether it may say for
    which end user, in the header `x-carnet-end-user` or in the body. `substitute` is whether it wants another
    model rather than a refusal."""

    key: Name
    subject: Name
    end_users: EndUsers = "none"
    substitute: bool = True


class Denial(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How a refusal is told. The addresses have to be reachable for whoever is refused."""

    status: Literal[403, 451] = 403
    ask_url: Url | None = None
    appeal_url: Url | None = None
    authority_url: Url | None = None

    @property
    def blocked_by(self) -> str | None:
        """Whom 451 names (RFC 7725); None where a refusal is 403."""
        return (self.authority_url or self.appeal_url) if self.status == 451 else None


class Limits(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bytes of a request, seconds until an upstream answers and between two pieces of an answer. `rate` and
    `burst` are how many requests one key may send in a second and at once; `determinations` how many may be
    waited for at once: past that, whatever is not known yet is refused, so that the rest is not slowed."""

    body_bytes: Annotated[int, Meta(ge=1)] = 32_000_000
    body_seconds: Annotated[float, Meta(gt=0)] = 60.0
    connect_seconds: Annotated[float, Meta(gt=0)] = 5.0
    answer_seconds: Annotated[float, Meta(gt=0)] = 600.0
    idle_seconds: Annotated[float, Meta(gt=0)] = 120.0
    rate: Annotated[float, Meta(gt=0)] = 1_000.0
    burst: Annotated[int, Meta(ge=1)] = 2_000
    determinations: Annotated[int, Meta(ge=1)] = 256


class Config(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of it. `exporter` is who lets others at the models, `served_from` the country in which they run,
    unless a model says another. `references` is what is done about a request that names, beside its model,
    one that its caller may not use."""

    exporter: Name
    served_from: Country
    upstream: tuple[Upstream, ...]
    model: tuple[Model, ...]
    format: Literal[1] = 1
    caller: tuple[Caller, ...] = ()
    denial: Denial = Denial()
    limits: Limits = Limits()
    references: Literal["strip", "refuse"] = "refuse"


class Directory(Struct, frozen=True):
    """A configuration with what it names found at once."""

    config: Config
    models: Mapping[str, Model]
    items: Mapping[str, tuple[Model, ...]]
    callers: Mapping[str, Caller]
    upstreams: Mapping[str, Upstream]

    def home(self, dialect: Dialect) -> Upstream | None:
        """The upstream for whatever names no model, such as files: that of the first model of the API."""
        for model in self.config.model:
            if dialect in model.dialects:
                return self.upstreams[model.upstream]
        return None

    def near(self, name: str) -> str:
        """`; did you mean …?` or nothing."""
        return nearest(name, self.models)


def load_config(data: bytes, *, file: str = "gateway.toml") -> Directory:
    """The configuration that TOML says. Raises `InputError` with file, line and the nearest right word, also
    for a name that is there twice or is that of nothing."""
    config = decode(data, Config, file=file)
    models: dict[str, Model] = {}
    for model in config.model:
        for name in (model.name, *model.aliases):
            if models.setdefault(name, model) is not model:
                raise InputError(f"{file}: the model `{name}` is there twice: leave one of them out")
    upstreams = _once(file, "upstream", {one.name: one for one in config.upstream}, len(config.upstream))
    callers = _once(file, "caller", {one.key: one for one in config.caller}, len(config.caller))
    for caller in config.caller:
        if _KEY.fullmatch(caller.key) is None:
            raise InputError(
                f"{file}: `{short(caller.key)}` is not the id of an API key: "
                "write the twelve signs after `ck_`"
            )
    for upstream in config.upstream:
        if upstream.url.rstrip("/").endswith("/v1"):
            raise InputError(
                f"{file}: the url of `{upstream.name}` ends in `/v1`, which the path of a request has "
                "already: leave it out"
            )
    for model in config.model:
        if model.upstream not in upstreams:
            raise InputError(f"{file}: the upstream `{model.upstream}` of `{model.name}` is missing: add it")
        if not model.dialects:
            raise InputError(f"{file}: `{model.name}` has no dialect: write `anthropic`, `openai` or both")
    items: dict[str, tuple[Model, ...]] = {}
    for model in config.model:
        items[model.item] = (*items.get(model.item, ()), model)
    return Directory(config, models, items, callers, upstreams)


def _once(file: str, kind: str, found: dict[str, T], count: int) -> dict[str, T]:
    if len(found) != count:
        raise InputError(f"{file}: the same {kind} is there twice: leave one of them out")
    return found
