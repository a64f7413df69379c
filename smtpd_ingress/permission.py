"""What a user may not do, as replies: None where it may."""

from common.codes import Reply, printable
from common.users.user import User

#: As Postfix refuses a sender that is another's; 5.7.1: not authorised (RFC 3463 3.8).
NOT_YOUR_SENDER = Reply(553, "5.7.1", "Sender address not allowed")
NOT_YOUR_POOL = Reply(550, "5.7.1", "Pool not allowed")


def sender_refused(user: User, sender: str) -> Reply | None:
    """For MAIL: ``sender`` as ``str(Address)``, ``""`` for the null reverse-path."""
    if user.may_send_as(sender):
        return None
    return NOT_YOUR_SENDER.but(f"<{printable(sender)}>: sender address not allowed for user {printable(user.name)}")


def pool_refused(user: User, pool: str) -> Reply | None:
    """For the end of the data: the pool that the mail's options chose."""
    if user.may_use(pool):
        return None
    return NOT_YOUR_POOL.but(f"X-Postjet-Pool: {pool!r} is no pool of user {printable(user.name)}")
