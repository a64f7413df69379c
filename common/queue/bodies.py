"""Content in the stream BODY: stored once per submission, read by every worker, removed with the last entry."""

import asyncio

from common.broker import HEADER_RESERVE, Broker, BrokerFailure, with_id
from common.content import BodyRef, CorruptError, digest
from common.subjects import BODY_STREAM, body, queue_stream, submission


class MissingError(Exception):
    """The content that an entry names is not there."""


class Bodies:
    """Content of one pool."""

    def __init__(self, broker: Broker, pool: str) -> None:
        self.broker, self.pool = broker, pool

    async def put(self, submission_id: str, stored: bytes, since: float | None = None) -> BodyRef:
        """Store content and wait until it is safe; where it lies. ``since`` and what it raises: ``Broker.store``."""
        subject = body(self.pool, submission_id)
        limit = self.broker.client.max_payload - HEADER_RESERVE
        if len(stored) <= limit:
            await self.broker.store([with_id(subject, stored, subject)], since=since)
            return BodyRef(len(stored), 0, digest(stored))
        chunks = range(0, len(stored), limit)
        for i, start in enumerate(chunks):  # one at a time: content is large, and others come in too
            chunk = stored[start : start + limit]
            await self.broker.store([with_id(f"{subject}.{i}", chunk, f"{subject}.{i}")], since=since)
        return BodyRef(len(stored), len(chunks), digest(stored))

    async def get(self, submission_id: str, ref: BodyRef) -> bytes:
        """The stored form. Raises MissingError, CorruptError and what ``Broker.request`` raises."""
        subject = body(self.pool, submission_id)
        subjects = [f"{subject}.{i}" for i in range(ref.chunks)] if ref.chunks else [subject]
        stored = b"".join([await self._message(name) for name in subjects])
        if digest(stored) != ref.digest:
            raise CorruptError(f"content {subject} differs from what was stored")
        return stored

    async def beginning(self, submission_id: str, ref: BodyRef) -> bytes:
        """The first chunk, or all of what is not in chunks. Raises as ``get`` does."""
        if ref.chunks:
            return await self._message(f"{body(self.pool, submission_id)}.0")
        return await self.get(submission_id, ref)

    async def _message(self, subject: str) -> bytes:
        message = await self.broker.last(BODY_STREAM, subject)
        if message is None:
            raise MissingError(f"content {subject} is not in the store")
        return message.body

    async def release(self, submission_id: str) -> bool:
        """Remove a submission's content if no entry of any kind is left; whether it did.

        Safe at any time: a deferral's schedule is stored before the entry is acked, and a firing schedule
        stores its entry before it goes.
        """
        left = await self.broker.subjects(queue_stream(self.pool), submission(self.pool, submission_id))
        if left:
            return False
        await self.remove(submission_id)
        return True

    async def remove(self, submission_id: str) -> None:
        """Remove a submission's content, chunks too."""
        subject = body(self.pool, submission_id)
        await self.broker.purge(BODY_STREAM, subject)
        await self.broker.purge(BODY_STREAM, f"{subject}.>")

    async def remove_surely(self, submission_id: str) -> None:
        """Remove it however often that takes (the broker may be away)."""
        while True:
            try:
                return await self.remove(submission_id)
            except BrokerFailure:
                await asyncio.sleep(1)
