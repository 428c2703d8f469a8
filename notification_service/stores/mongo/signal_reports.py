"""Counts signals, and the mails that they are measured against. Every method raises `StoreUnavailableError`."""

from collections import Counter
from dataclasses import dataclass
from datetime import datetime

import pymongo

from notification_service.contract.channel_kinds import ChannelKind
from notification_service.contract.signals import SignalKind
from notification_service.foundation.mailbox_classes import mailbox_class
from notification_service.stores.mongo.client import Database, Document, translate_errors
from notification_service.stores.mongo.schema import SIGNALS

_TIMEOUT_S = 20
_MAX_CODES = 100


@dataclass(frozen=True, slots=True)
class Failures:
    """The mails that bounced with one code. `example`: the notification of the latest of them."""

    code: str | None
    count: int
    latest: datetime
    example: str | None


class MongoSignalReports:
    """`collection`: the records."""

    def __init__(self, database: Database, collection: str) -> None:
        self._signals = database[SIGNALS]
        self._records = database[collection]

    async def failures(self, since: datetime) -> list[Failures]:
        """Our mails whose bounce was heard of since then, by code, the most first."""
        of_mails = {"notification_id": {"$exists": True}, "channel": ChannelKind.EMAIL.value}
        stages: list[Document] = [
            {"$match": {"kind": SignalKind.BOUNCED.value, "received_at": {"$gte": since}}},
            {"$match": of_mails},
            {"$group": {"_id": {"code": "$code", "mail": "$notification_id"}, "latest": {"$max": "$at"}}},
            {"$sort": {"latest": 1}},
            {
                "$group": {
                    "_id": "$_id.code",
                    "count": {"$sum": 1},
                    "latest": {"$max": "$latest"},
                    "example": {"$last": "$_id.mail"},
                }
            },
        ]
        with pymongo.timeout(_TIMEOUT_S):
            found = await translate_errors(self._signals.aggregate(stages).to_list(None))
        listed = [Failures(each["_id"], each["count"], each["latest"], each["example"]) for each in found]
        return sorted(listed, key=lambda each: (-each.count, each.code or ""))[:_MAX_CODES]

    async def by_mailbox(self, since: datetime) -> dict[tuple[str, str, str], int]:
        """How many mails were reported on since then, by template, class of mailbox provider and kind.

        A webhook and a mailbox may both report on one.
        """
        of_mails = {"template": {"$exists": True}, "channel": ChannelKind.EMAIL.value}
        place = {"t": "$template", "m": "$mailbox", "k": "$kind"}
        stages: list[Document] = [
            {"$match": {"received_at": {"$gte": since}, **of_mails}},
            {"$group": {"_id": {**place, "mail": "$notification_id"}}},
            {"$group": {"_id": {"t": "$_id.t", "m": "$_id.m", "k": "$_id.k"}, "count": {"$sum": 1}}},
        ]
        with pymongo.timeout(_TIMEOUT_S):
            found = await translate_errors(self._signals.aggregate(stages).to_list(None))
        return {
            (str(each["_id"].get("t")), str(each["_id"].get("m") or "unknown"), str(each["_id"].get("k"))): each[
                "count"
            ]
            for each in found
        }

    async def accepted(self, since: datetime) -> dict[tuple[str, str], int]:
        """How many mails were taken of those that were begun since then, by template and class."""
        domain = {"$arrayElemAt": [{"$split": ["$recipient", "@"]}, -1]}
        stages: list[Document] = [
            {
                "$match": {
                    "created_at": {"$gte": since},
                    "outcome": "sent",
                    "notification_type": ChannelKind.EMAIL.value,
                }
            },
            {"$group": {"_id": {"t": "$template", "d": domain}, "count": {"$sum": 1}}},
        ]
        with pymongo.timeout(_TIMEOUT_S):
            found = await translate_errors(self._records.aggregate(stages).to_list(None))
        total: Counter[tuple[str, str]] = Counter()
        for each in found:
            total[str(each["_id"].get("t")), mailbox_class(f"@{each['_id'].get('d')}")] += each["count"]
        return dict(total)
