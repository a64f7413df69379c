"""What a mail that came back says: bytes in, values out, whatever the bytes are."""

from dsn.parse.reading import parse
from dsn.parse.result import Complaint, Feedback, Fields, Kind, Original, Recipient

__all__ = ["Complaint", "Feedback", "Fields", "Kind", "Original", "Recipient", "parse"]
