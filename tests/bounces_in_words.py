"""Bounces as mail systems word them: invented mails in the layout of each, with whom they are about."""

from typing import NamedTuple


class Sample(NamedTuple):
    """A bounce without a part for machines."""

    system: str
    sender: str
    subject: str
    text: str
    recipients: tuple[str, ...]
    code: int = 0
    enhanced: str = ""
    says: str = ""
    """Is in what is told of the first recipient."""


RETURNED = """Return-Path: <news@shop.example>
Received: from shop.example by mx.example; Mon, 2 Mar 2026 10:00:00 +0100
Message-ID: <one@shop.example>
From: Shop <news@shop.example>
To: ann@there.example
Subject: Spring sale
Date: Mon, 2 Mar 2026 10:00:00 +0100

Buy now.
"""

DAEMON = "Mail Delivery System <MAILER-DAEMON@mx.example>"

SAMPLES = [
    Sample("qmail", "MAILER-DAEMON@mx.example", "failure notice", f"""Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@there.example>:
192.0.2.7 does not like recipient.
Remote host said: 550 5.1.1 No such user here
Giving up on 192.0.2.7.

<ben@there.example>:
Sorry, no mailbox here by that name. (#5.1.1)

--- Below this line is a copy of the message.

{RETURNED}""", ("ann@there.example", "ben@there.example"), 550, "5.1.1", "No such user"),
    Sample("qmail, local", "MAILER-DAEMON@mx.example", "failure notice", f"""Hi. This is the qmail-send program at mx.example.
I'm afraid I wasn't able to deliver your message to the following addresses.
This is a permanent error; I've given up. Sorry it didn't work out.

<ann@there.example>:
user is over quota

--- Below this line is a copy of the message.

{RETURNED}""", ("ann@there.example",), 0, "", "over quota"),
    Sample("exim", DAEMON, "Mail delivery failed: returning message to sender", f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@there.example
    host mx.there.example [192.0.2.7]
    SMTP error from remote mail server after RCPT TO:<ann@there.example>:
    550 5.7.1 Mail from 198.51.100.9 refused
  ben@elsewhere.example
    Unrouteable address

------ This is a copy of the message, including all the headers. ------

{RETURNED}""", ("ann@there.example", "ben@elsewhere.example"), 550, "5.7.1", "refused"),
    Sample("exim, forwarded", DAEMON, "Mail delivery failed: returning message to sender", f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

  ann@there.example
    (generated from sales@here.example)
    retry timeout exceeded

------ This is a copy of the message's headers. ------

{RETURNED}""", ("ann@there.example",), 0, "", "retry timeout exceeded"),
    Sample("sendmail 8 without a report", DAEMON, "Returned mail: see transcript for details", f"""The original message was received at Mon, 2 Mar 2026 10:00:00 +0100
from shop.example [198.51.100.9]

   ----- The following addresses had permanent fatal errors -----
<ann@there.example>
    (reason: 550 5.1.1 <ann@there.example>... User unknown)

   ----- Transcript of session follows -----
... while talking to mx.there.example.:
>>> DATA
<<< 550 5.1.1 <ann@there.example>... User unknown
550 5.1.1 <ann@there.example>... User unknown
<<< 503 5.0.0 Need RCPT (recipient)

   ----- Original message follows -----

{RETURNED}""", ("ann@there.example",), 550, "5.1.1", "User unknown"),
    Sample("sendmail 5", DAEMON, "Returned mail: User unknown", f"""   ----- Transcript of session follows -----
While talking to mx.there.example:
>>> RCPT To:<ann@there.example>
<<< 550 <ann@there.example>... User unknown
550 ann@there.example... User unknown

   ----- Unsent message follows -----
{RETURNED}""", ("ann@there.example",), 550, "", "User unknown"),
    Sample("postfix in plain", DAEMON, "Undelivered Mail Returned to Sender", """This is the mail system at host mx.example.

I'm sorry to have to inform you that your message could not
be delivered to one or more recipients. It's attached below.

For further assistance, please send mail to postmaster.

<ann@there.example>: host mx.there.example[192.0.2.7] said: 552 5.2.2 Mailbox
    is full (in reply to RCPT TO command)

<ben@there.example>: Host or domain name not found. Name service error for
    name=there.example type=MX: Host not found
""", ("ann@there.example", "ben@there.example"), 552, "5.2.2", "Mailbox is full"),
    Sample("opensmtpd", "Mailer Daemon <MAILER-DAEMON@mx.example>", "Delivery status notification: error", f"""    Hi!

    This is the MAILER-DAEMON, please DO NOT REPLY to this e-mail.

    An error has occurred while attempting to deliver a message for
    the following list of recipients:

ann@there.example: 550 5.1.1 Unknown user

    Below is a copy of the original message:

{RETURNED}""", ("ann@there.example",), 550, "5.1.1", "Unknown user"),
    Sample("dragonfly mail agent", "MAILER-DAEMON <>", "Mail delivery failed", f"""This is the DragonFly Mail Agent v0.14 at mx.example.

There was an error delivering your mail to <ann@there.example>.

mx.there.example [192.0.2.7] did not like our RCPT TO:
550 5.1.1 No such mailbox

Message headers follow.

{RETURNED}""", ("ann@there.example",), 550, "5.1.1", "No such mailbox"),
    Sample("gmail, of old", "Mail Delivery Subsystem <mailer-daemon@googlemail.com>", "Delivery Status Notification (Failure)", f"""Delivery to the following recipient failed permanently:

     ann@there.example

Technical details of permanent failure:
Google tried to deliver your message, but it was rejected by the server for the recipient domain there.example by mx.there.example. [192.0.2.7].

The error that the other server returned was:
550 5.7.1 Not wanted

----- Original message -----

{RETURNED}""", ("ann@there.example",), 550, "5.7.1", "Not wanted"),
    Sample("gmail", "Mail Delivery Subsystem <mailer-daemon@googlemail.com>", "Delivery Status Notification (Failure)", """** Address not found **

Your message wasn't delivered to ann@there.example because the address couldn't be found, or is unable to receive mail.

The response was:

550 5.1.1 The account does not exist
""", ("ann@there.example",), 550, "5.1.1", "does not exist"),
    Sample("exchange 5.5", "System Administrator <postmaster@there.example>", "Undeliverable: Spring sale", """Your message

  To:      staff@there.example
  Subject: Spring sale
  Sent:    Mon, 2 Mar 2026 10:00:00 +0100

did not reach the following recipient(s):

ann@there.example on Mon, 2 Mar 2026 10:00:05 +0100
    The recipient name is not recognized
        MSEXCH:IMS:There:HQ:MAIL 0 (000C05A6) Unknown Recipient
""", ("ann@there.example",), 0, "", "not recognized"),
    Sample("exchange 2007", "postmaster@there.example", "Undeliverable: Spring sale", f"""Delivery has failed to these recipients or groups:

ann@there.example
The e-mail address you entered couldn't be found. Please check the recipient's e-mail address.

Diagnostic information for administrators:

Generating server: hq.there.example

ann@there.example
#550 5.1.1 RESOLVER.ADR.RecipNotFound; not found ##

Original message headers:

{RETURNED}""", ("ann@there.example",), 550, "5.1.1", "RecipNotFound"),
    Sample("domino", "postmaster@there.example", "DELIVERY FAILURE: User ann not listed in Domino Directory", """Your message

  Subject: Spring sale

was not delivered to:

  ann@there.example

because:

  User ann (ann@there.example) not listed in Domino Directory
""", ("ann@there.example",), 0, "", "not listed in Domino Directory"),
    Sample("notes", "mailer@there.example", "Delivery Failure Report", f"""------- Failure Reasons  --------

User not listed in public Name & Address Book
ann@there.example

------- Returned Message --------

{RETURNED}""", ("ann@there.example",), 0, "", "not listed"),
    Sample("groupwise", "Mail Delivery Subsystem <MAILER-DAEMON@there.example>", "Message status - undeliverable", """The message that you sent was undeliverable to the following:
\tann@there.example (user not found)
""", ("ann@there.example",), 0, "", "user not found"),
    Sample("imail", '"Postmaster" <postmaster@there.example>', "Undeliverable Mail", f"""User mailbox exceeds allowed size: ann@there.example

Original message follows.

{RETURNED}""", ("ann@there.example",), 0, "", "exceeds allowed size"),
    Sample("mdaemon", "MAILER-DAEMON@there.example", "Permanent Delivery Failure", """The attached message had PERMANENT fatal delivery errors!

After one or more unsuccessful delivery attempts the attached message has
been removed from the mail queue on this server.

YOUR MESSAGE WAS NOT DELIVERED TO ONE OR MORE RECIPIENTS!

Failed address: ann@there.example

--- Session Transcript ---
 Mon 2026-03-02 10:00:01: [1:2] <-- 220 mx.there.example ESMTP
 Mon 2026-03-02 10:00:01: [1:2] --> MAIL From:<news@shop.example>
 Mon 2026-03-02 10:00:01: [1:2] <-- 250 OK
 Mon 2026-03-02 10:00:01: [1:2] --> RCPT To:<ann@there.example>
 Mon 2026-03-02 10:00:01: [1:2] <-- 550 5.1.1 unknown user
--- End Transcript ---
""", ("ann@there.example",), 550, "5.1.1", "unknown user"),
    Sample("communigate", "MAILER-DAEMON@there.example", "Undeliverable mail: Spring sale", """Failed to deliver to 'ann@there.example'
mailbox module(ann) reports:
 account is full (quota exceeded)
""", ("ann@there.example",), 0, "", "quota exceeded"),
    Sample("courier", '"Courier mail server at mx.example" <@>', "NOTICE: mail delivery status.", """This is a delivery status notification from mx.example,
running the Courier mail server.

The original message was received on Mon, 02 Mar 2026 10:00:00 +0100

---------------------------------------------------------------------------

                           UNDELIVERABLE MAIL

Your message to the following recipients cannot be delivered:

<ann@there.example>:
    mx.there.example [192.0.2.7]:
>>> RCPT TO:<ann@there.example>
<<< 550 5.1.1 <ann@there.example>... User unknown

---------------------------------------------------------------------------
""", ("ann@there.example",), 550, "5.1.1", "User unknown"),
    Sample("interscan", "postmaster@there.example", "Mail delivery failed", """Unable to deliver message to <ann@there.example>
Sent <<< RCPT TO:<ann@there.example>
Received >>> 550 5.1.1 <ann@there.example>... user unknown
""", ("ann@there.example",), 550, "5.1.1", "user unknown"),
    Sample("mailmarshal", "postmaster@there.example", "Undeliverable Mail: Spring sale", """Your message:
   From:    news@shop.example
   Subject: Spring sale
   Date:    Mon, 2 Mar 2026 10:00:00 +0100

Could not be delivered because of

550 5.1.1 User unknown

The following recipients were affected:

    ann@there.example

Additional Information
""", ("ann@there.example",), 550, "5.1.1", "User unknown"),
    Sample("mail foundry", "postmaster@there.example", "Message delivery has failed", """Unable to deliver message to: <ann@there.example>
Delivery failed for the following reason:
Server mx.there.example[192.0.2.7] failed with: 550 No such user here

This has been a permanent failure.  No further delivery attempts will be made.
""", ("ann@there.example",), 550, "", "No such user"),
    Sample("1und1, gmx", '"GMX Mailer Daemon" <mailer-daemon@gmx.example>', "Mail delivery failed: returning message to sender", f"""This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address
failed:

"ann@there.example":
SMTP error from remote server after RCPT command:
host: mx.there.example
5.1.1 <ann@there.example>... User Unknown

--- The header of the original message is following. ---

{RETURNED}""", ("ann@there.example",), 0, "5.1.1", "User Unknown"),
    Sample("surfcontrol", "<postmaster@there.example>", "Message could not be sent", """Your message could not be sent.
A transcript of the attempts to send the message follows.
The number of attempts made: 1
Addressed To: ann@there.example

Mon 02 Mar 2026 10:00:00 +0100
Failed to send to identified host,
ann@there.example: [192.0.2.7], 550 Unknown user
--- Message non-deliverable.
""", ("ann@there.example",), 550, "", "Unknown user"),
    Sample("mobile, as kddi", "Mail System <no-reply@mobile.example>", "Mail System Error - Returned Mail", """Your mail sent on: Mon, 2 Mar 2026 10:00:00 +0900

Could not be delivered to: <ann@there.example>
As their mailbox is full.
""", ("ann@there.example",), 0, "", "mailbox is full"),
    Sample("mxlogic", "Mail Delivery System <mailer-daemon@there.example>", "Mail delivery failed: returning message to sender", """This message was created automatically by mail delivery software.

A message that you sent could not be delivered to one or more of its
recipients. This is a permanent error. The following address(es) failed:

 <ann@there.example>:
550 5.1.1 <ann@there.example>... User Unknown

Included is a copy of the message header:
-----------------------------------------
""", ("ann@there.example",), 550, "5.1.1", "User Unknown"),
    Sample("messagelabs", "MAILER-DAEMON@labs.example", "Mail Delivery Failure", """This is the mail delivery agent at mx.example.
I was not able to deliver your message to the following addresses.

<ann@there.example>:
192.0.2.7 does not like recipient.
Remote host said: 542 ann@there.example Rejected

--- Below this line is the original bounce.
""", ("ann@there.example",), 542, "", "Rejected"),
    Sample("powermta", "postmaster@mx.example", "Delivery report", """Hello, this is the mail server on mx.example.

I am sending you this message to inform you on the delivery status of a
message you previously sent.  Immediately below you will find a list of
the affected recipients.

<ann@there.example>
    delivery failed; will not continue trying
    command: RCPT TO:<ann@there.example>
    response: 550 5.1.1 unknown user
""", ("ann@there.example",), 550, "5.1.1", "unknown user"),
    Sample("zoho", "mailer-daemon@mail.zoho.example", "Undelivered Mail Returned to Sender", """This message was created automatically by mail delivery software.
A message that you sent could not be delivered to one or more of its recipients. This is a permanent error.

ann@there.example Invalid Address, ERROR_CODE :550, ERROR_CODE :5.1.1 User Unknown
""", ("ann@there.example",), 550, "5.1.1", "User Unknown"),
    Sample("mailbox alone", "MAILER-DAEMON@there.example", "Returned mail: Spring sale", """User's mailbox is full: <ann@there.example>
Unable to deliver mail.
""", ("ann@there.example",), 0, "", "mailbox is full"),
    Sample("german", "Postmaster <postmaster@there.example>", "Unzustellbar: Angebot", """Ihre Nachricht an ann@there.example konnte leider nicht zugestellt werden.

Das Postfach ist voll.
""", ("ann@there.example",), 0, "", "Postfach ist voll"),
    Sample("french", "Postmaster <postmaster@there.example>", "Non remis : offre", """Votre message n'a pas pu être remis aux destinataires suivants :

    ann@there.example
    L'adresse est inconnue.
""", ("ann@there.example",), 0, "", "inconnue"),
    Sample("russian", "mailer-daemon@mail.example", "Ваше сообщение не доставлено", """К сожалению, Ваше письмо не может быть доставлено одному или нескольким получателям:

  ann@there.example
    550 user not found
""", ("ann@there.example",), 550, "", "user not found"),
    Sample("japanese", "Postmaster@mobile.example", "Mail System Error - Returned Mail", """次の宛先へのメッセージはエラーのため送信できませんでした。

<ann@there.example>: 550 Unknown user ann@there.example
""", ("ann@there.example",), 550, "", "Unknown user"),
    Sample("anti-spam gateway", "Postmaster <postmaster@gate.example>", "**Message you sent blocked by our bulk email filter**", """Your message to: ann@there.example
was blocked by our Spam Firewall. The email you sent with the following subject has NOT BEEN DELIVERED:

Subject: Spring sale
""", ("ann@there.example",), 0, "", "Spam Firewall"),
    Sample("mimecast", '"postmaster" <postmaster@there.example>', "[Postmaster] Email Delivery Failure", """This is an automated alert notification. Please do not reply.

An email that you attempted to send to the following address could not be delivered:
-- ann@there.example

The problem appears to be :
-- Recipient email address is possibly incorrect

Additional information follows :
-- 5.4.1 Recipient address rejected: Access denied.
""", ("ann@there.example",), 0, "5.4.1", "Access denied"),
    Sample("bare sms gateway", "post_master@sms.example", "Re:Spring sale", """Error: Invalid user address

Error message below:
550 - Requested action not taken: no such user here

Message details:
  Subject: Spring sale
  MAIL FROM: news@shop.example
  RCPT TO: ann@there.example
  From: news@shop.example
""", ("ann@there.example",), 550, "", "no such user"),
]  # fmt: skip
