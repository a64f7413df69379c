"""What passes, or is said of others than the recipient, is never hard: an address that is good would be suppressed."""

import pytest

from common.classify.reading import classify

SOFT = """\
550 Recipient not allowed
550 rejected all recipients
550 delivery to this address is restricted
550 unable to verify address
550 Address verification failed
550 no such entry
550 5.7.1 Your address is not listed in our whitelist
550 User is not available at this time
550 mailbox unavailable (server is being upgraded)
550 Unable to verify the user right now
550 The recipient's mailbox could not be found on this server; it is offline, the store is down
550 This host does not accept mail at the moment
550 account unavailable because of the maintenance in progress, server overloaded
550 recipient unavailable, out of office
550 Mailbox has been moved to another database
550 The mailbox is being migrated, try again
554 LDAP: user lookup failure
554 5.3.0 Unable to deliver to this user: disk error
550 user database not found
554 Unable to validate your certificate
554 Unable to validate sender
554 Message id is not unique
554 ambiguous header
550 file does not exist
550 unknown user agent
550 unknown recipient policy
550 Invalid address in header
550 invalid address format in From
550 Bad recipient header
550 User cannot receive this size of mail
550 recipient cannot accept attachments
550 This account cannot receive mail over 5 MB
550 User can not receive encrypted mail
550 mailbox not allowed to receive from outside
550 5.7.1 You are not in our address list
550 Sender is not in the address list
550 Your address is unknown to the recipient
554 rejected the recipients: spam
554 no such entry in access table
550 account closed the connection
554 message to user removed from queue
550 The user's policy has expired
550 user lookup failed
550 Sender mailbox does not exist
550 5.1.8 Domain of sender has a null MX
550 Malformed from: Invalid domain in address
550 Client host name not found
550 invalid hostname
550 host not found for 192.0.2.1
550 mail server example.net does not exist in DNS
550 domain not found in our whitelist
550 invalid domain in From
550 domain of the link does not exist
550 unknown domain in Message-ID
550 Reply-to domain does not exist
550 this domain does not accept mail without DKIM
550 domain example.org does not accept mail from your country
550 this domain does not accept messages over 10 MB
550 we do not accept mail on port 25
551 we refuse
553 Mail from 192.0.2.1 permanently deferred
521 192.0.2.1_is_blocked
556 remote check error
550 user quota unknown
550 Address not in my contact list
550 user not found in allow list
550 recipient unknown to the policy server
550 Unknown user or password
550 mail account unavailable: storage offline
550 Recipient verification: unknown result
550 No mailbox server is available
550 user profile not found
550 user's home server is unknown
550 Your e-mail has changed
550 Please use the new server instead
550 please use TLS instead
550 user not local to this site, temporarily
550 user no longer accepts mail from outside
550 recipient no longer accepts messages with attachments
550 account no longer accepts mail over 1 MB
550 Mailbox no longer accepts mail: quota
550 the user was removed from the list
550 The recipient was deleted from the allow list
550 the user terminated the connection
550 Locked, no activity for 150 days
550 The user has not logged in during the last year
550 recipient has blocked unknown users
550 Recipient address rejected: Domain not found for sender
550 Recipient address rejected: undeliverable for the moment
550 Invalid address in reply-to
550 account not verified
550 your mailbox does not exist
550 you are not a known user
530 unknown user, authenticate
550 user does not exist in the sender list
550 callback failed: no such user
550 DNS record does not exist
550 unknown host 192.0.2.1
550 user unavailable: on vacation
550 mailbox was migrated last night, try later
550 invalid mailbox format
550 bad user configuration
550 unknown user, but you may retry"""


@pytest.mark.parametrize("reply", SOFT.split("\n"))
def test_it_is_soft(reply: str) -> None:
    assert classify(0, "", reply).bounce_type == "soft"
    assert classify(int(reply[:3]), "", reply[4:], "rcpt").bounce_type == "soft"
