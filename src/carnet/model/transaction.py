"""A transaction as somebody hands it in: one field for each word of the shipped shelf's `terms.toml`.
What its facts come to at an instant is in `carnet.model.view`.

Every field may be left out (the fact is missing) or written short, as a `Fact`, or as a `SetFact`
(`carnet.model.written`). Money and operations are exact decimals; write big ones as text, `"1.5e26"`.
"""

import datetime as dt
from collections.abc import Collection, Iterator
from decimal import Decimal
from typing import Literal

from msgspec import Struct, to_builtins

from carnet.model.leaves import Path, first_problem
from carnet.model.reading import checked, decode
from carnet.model.written import Country, Day, Fact, Id, Instant, SetFact, StatusSince

Event = Literal[
    "remote_access",
    "ship",
    "transmit",
    "show",
    "store",
    "deliver_access_information",
    "transfer_in_country",
    "provide_compute",
    "support",
    "broker",
]
Form = Literal["hosted", "weights", "source_code", "object_code", "technology", "commodity"]
Reason = Literal["AT", "CB", "CC", "EI", "FC", "MT", "NP", "NS", "RS", "SI", "SL", "SS", "UN"]
Column = Literal[
    "CB 1",
    "CB 2",
    "CB 3",
    "NP 1",
    "NP 2",
    "NS 1",
    "NS 2",
    "MT 1",
    "RS 1",
    "RS 2",
    "FC 1",
    "CC 1",
    "CC 2",
    "CC 3",
    "AT 1",
    "AT 2",
]
ListBasedException = Literal["LVS", "GBS", "TSR", "APP", "STA", "NAC", "ACA", "AIA", "ACM", "LPP"]
ForeignProductRule = Literal[
    "734.9(b)",
    "734.9(c)",
    "734.9(d)",
    "734.9(e)",
    "734.9(f)",
    "734.9(g)",
    "734.9(h)",
    "734.9(i)",
    "734.9(j)",
    "734.9(k)",
    "734.9(l)",
]
Kind = Literal["person", "company", "government", "international_organization", "us_government"]
UsStatus = Literal["citizen", "permanent_resident", "protected", "none"]
Employment = Literal["employee", "contractor", "leased", "agent", "none"]
PartyList = Literal["denied_persons", "entity_list", "military_end_user", "unverified", "sdn"]
Knowledge = Literal["none", "reason_to_know", "actual"]
RedFlagKind = Literal[
    "avoids_end_use_questions",
    "product_does_not_fit",
    "no_business_background",
    "unfamiliar_with_product",
    "declines_routine_service",
    "vague_delivery",
    "forwarder_as_destination",
    "abnormal_route",
    "address_of_listed_party",
    "signals_contradict_statement",
    "listed_owner_unknown_share",
    "training_for_covered_party",
]


class Item(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The thing, in one form (15 CFR 772.1, item)."""

    product: Id | Fact[Id] | None = None
    family: Id | Fact[Id] | None = None
    weights: Id | Fact[Id] | None = None
    provider: Id | Fact[Id] | None = None
    form: Form | Fact[Form] | None = None
    eccn: Id | Fact[Id] | None = None
    paragraph: Id | Fact[Id] | None = None
    food_or_medicine: bool | Fact[bool] | None = None
    reasons: tuple[Reason, ...] | SetFact[Reason] | None = None
    columns: tuple[Column, ...] | SetFact[Column] | None = None
    exceptions: tuple[ListBasedException, ...] | SetFact[ListBasedException] | None = None
    value: Decimal | Fact[Decimal] | None = None
    lvs_limit: Decimal | Fact[Decimal] | None = None
    lvs_exceeded: bool | Fact[bool] | None = None
    approved_designer: bool | Fact[bool] | None = None
    russia_supplements: bool | Fact[bool] | None = None
    supplement_2_of_part_744: bool | Fact[bool] | None = None
    six_hundred_series: bool | Fact[bool] | None = None
    classified: bool | Fact[bool] | None = None
    other_agency: bool | Fact[bool] | None = None
    published: bool | Fact[bool] | None = None
    dissemination_restricted: bool | Fact[bool] | None = None
    fundamental_research: bool | Fact[bool] | None = None
    educational: bool | Fact[bool] | None = None
    patent_information: bool | Fact[bool] | None = None
    necessary_information: bool | Fact[bool] | None = None
    encryption_notified: bool | Fact[bool] | None = None
    us_origin: bool | Fact[bool] | None = None
    in_us: bool | Fact[bool] | None = None
    made_in: Country | Fact[Country] | None = None
    us_content: Decimal | Fact[Decimal] | None = None
    us_content_any_amount: bool | Fact[bool] | None = None
    us_content_reported: bool | Fact[bool] | None = None
    foreign_product_rules: tuple[ForeignProductRule, ...] | SetFact[ForeignProductRule] | None = None
    operations: Decimal | Fact[Decimal] | None = None
    base_operations: Decimal | Fact[Decimal] | None = None
    added_operations: Decimal | Fact[Decimal] | None = None
    added_share_of_total: Decimal | Fact[Decimal] | None = None
    added_share_of_base: Decimal | Fact[Decimal] | None = None
    base_published: bool | Fact[bool] | None = None
    weaker_than_published: bool | Fact[bool] | None = None
    synthetic_share: Decimal | Fact[Decimal] | None = None
    synthetic_source_published: bool | Fact[bool] | None = None
    synthetic_counted: bool | Fact[bool] | None = None


class Party(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A natural person or an entity. Located, headquartered, with the ultimate parent headquartered
    and national of are four different facts."""

    id: Id | Fact[Id] | None = None
    kind: Kind | Fact[Kind] | None = None
    us_status: UsStatus | Fact[UsStatus] | None = None
    nationalities: tuple[Country, ...] | SetFact[Country] | None = None
    statuses: tuple[StatusSince, ...] | SetFact[StatusSince] | None = None
    location: Country | Fact[Country] | None = None
    incorporated: Country | Fact[Country] | None = None
    organized_in: tuple[Country, ...] | SetFact[Country] | None = None
    branch_of: Country | Fact[Country] | None = None
    headquarters: Country | Fact[Country] | None = None
    parent_headquarters: Country | Fact[Country] | None = None
    employer: Id | Fact[Id] | None = None
    employer_headquarters: Country | Fact[Country] | None = None
    employer_parent_headquarters: Country | Fact[Country] | None = None
    engaged_by: tuple[Id, ...] | SetFact[Id] | None = None
    affiliate_of: tuple[Id, ...] | SetFact[Id] | None = None
    employment: Employment | Fact[Employment] | None = None
    permanent_regular_employee: bool | Fact[bool] | None = None
    hired: Day | Fact[Day] | None = None
    screened: bool | Fact[bool] | None = None
    nondisclosure_signed: bool | Fact[bool] | None = None
    lists: tuple[PartyList, ...] | SetFact[PartyList] | None = None
    owned_by_listed: bool | Fact[bool] | None = None
    military_intelligence_end_user: bool | Fact[bool] | None = None
    military_end_user: bool | Fact[bool] | None = None


class Exporter(Party, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who does the act, with what they know (15 CFR 772.1, exporter and knowledge)."""

    knowledge: Knowledge | Fact[Knowledge] | None = None
    knows_of_violation: bool | Fact[bool] | None = None
    knows_of_release: bool | Fact[bool] | None = None
    red_flags: tuple[RedFlagKind, ...] | SetFact[RedFlagKind] | None = None
    resolved_red_flags: tuple[Id, ...] | SetFact[Id] | None = None
    privileges_suspended: bool | Fact[bool] | None = None


class EndUse(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the item is for, as far as it has been learnt (15 CFR part 744)."""

    military_intelligence: bool | Fact[bool] | None = None
    military: bool | Fact[bool] | None = None
    nuclear: bool | Fact[bool] | None = None
    missile: bool | Fact[bool] | None = None
    chemical_biological: bool | Fact[bool] | None = None
    supercomputer: bool | Fact[bool] | None = None
    advanced_semiconductors: bool | Fact[bool] | None = None
    maritime_nuclear: bool | Fact[bool] | None = None
    vessel_or_aircraft: bool | Fact[bool] | None = None
    country: Country | Fact[Country] | None = None
    us_person_support: bool | Fact[bool] | None = None
    us_government_official: bool | Fact[bool] | None = None


class SomeParties(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parties that are known in a role which may have more."""

    some: tuple[Party, ...]


Role = tuple[Party, ...] | SomeParties | None


class Parties(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Who else takes part, by role (15 CFR 748.5). A role that is left out is not known; an empty one
    is known to have nobody in it."""

    applicant: Role = None
    purchaser: Role = None
    intermediate_consignee: Role = None
    ultimate_consignee: Role = None
    end_user: Role = None
    forwarding_agent: Role = None


class Transaction(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What someone does with an item at an instant. `at` is when the law looks at it; `id` and `tenant`
    are the operator's own references and decide nothing."""

    at: Instant
    format: Literal[1] = 1
    id: Id | None = None
    tenant: Id | None = None
    item: Item = Item()
    recipient: Party = Party()
    exporter: Exporter = Exporter()
    parties: Parties = Parties()
    end_use: EndUse = EndUse()

    event: Event | Fact[Event] | None = None
    served_from: Country | Fact[Country] | None = None
    sent_from: Country | Fact[Country] | None = None
    sent_to: Country | Fact[Country] | None = None
    release_place: Country | Fact[Country] | None = None
    transits: tuple[Country, ...] | SetFact[Country] | None = None
    stored_in: Country | Fact[Country] | None = None
    end_to_end_encrypted: bool | Fact[bool] | None = None
    cryptography_approved: bool | Fact[bool] | None = None
    decryption_with_third_party: bool | Fact[bool] | None = None
    access_information_releases: bool | Fact[bool] | None = None
    end_use_changes: bool | Fact[bool] | None = None
    end_user_changes: bool | Fact[bool] | None = None
    releaser_authorized: bool | Fact[bool] | None = None
    security_plan_kept: bool | Fact[bool] | None = None
    occupied_region: bool | Fact[bool] | None = None
    facility_secured: bool | Fact[bool] | None = None
    licenses: tuple[Id, ...] | SetFact[Id] | None = None
    breaches_order: bool | Fact[bool] | None = None
    hong_kong_permit: bool | Fact[bool] | None = None
    ofac_authorized: bool | Fact[bool] | None = None


UNITS = {
    "item.operations": "1e18",
    "item.base_operations": "1e18",
    "item.added_operations": "1e18",
}
"""What one stored number stands for where it is not 1, as in `terms.toml`."""

KNOWLEDGE = frozenset(
    {
        "exporter.knowledge",
        "exporter.knows_of_violation",
        "exporter.knows_of_release",
        "exporter.red_flags",
    }
)
"""What somebody knew: only facts recorded by then count, as `knowledge = true` in `terms.toml`."""


def entities(transaction: Transaction) -> Iterator[tuple[Path, Struct]]:
    """Every entity of a transaction that has facts, and where it stands in it."""
    yield (), transaction
    yield ("item",), transaction.item
    yield ("recipient",), transaction.recipient
    yield ("exporter",), transaction.exporter
    yield ("end_use",), transaction.end_use
    for role in Parties.__struct_fields__:
        given: Role = getattr(transaction.parties, role)
        within: Path = ("parties", role, "some") if isinstance(given, SomeParties) else ("parties", role)
        members = given.some if isinstance(given, SomeParties) else given or ()
        for index, party in enumerate(members):
            yield (*within, index), party


def read_transaction(
    data: bytes, *, file: str = "-", countries: Collection[str] | None = None
) -> Transaction:
    """The transaction that JSON (or, where `file` ends in `.toml`, TOML) says. `countries` are the ids that
    the rulebook knows; None takes any.

    Raises InputError, one sentence that names file, line and value, for what can't be read, for an
    unknown country and for plain facts of one party that can't both be true. Facts of several sources
    that disagree are no error: they are a conflict in the view.
    """
    return decode(
        data,
        Transaction,
        file=file,
        check=lambda transaction: first_problem(entities(transaction), UNITS, countries),
    )


def check_transaction(transaction: Transaction, countries: Collection[str] | None = None) -> None:
    """The checks of `read_transaction`, types included, for one made in Python. Raises InputError."""
    plain = to_builtins(transaction, builtin_types=(dt.datetime, Decimal))
    checked(plain, Transaction, lambda read: first_problem(entities(read), UNITS, countries))
