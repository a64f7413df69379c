"""Mails that came back, for several tests: a status report, a complaint, a notification of Amazon SES. All invented."""

import json
from typing import Any

HEAD = b"""Return-Path: <>
From: Mail Delivery System <MAILER-DAEMON@mx.example>
To: news@shop.example
Subject: Undelivered Mail Returned to Sender
Message-ID: <bounce@mx.example>
Content-Type: multipart/report; report-type=delivery-status; boundary="x/1"

"""
WORDS = b"""--x/1
Content-Type: text/plain

This is the mail system at host mx.example.

<ann@there.example>: host mx.there.example[192.0.2.7] said: 550 5.1.1 Nobody here
    (in reply to RCPT TO command)

"""
STATUS = b"""--x/1
Content-Type: message/delivery-status

Reporting-MTA: dns; mx.example
Original-Envelope-Id: order+17
X-Postjet-Delivery: abc-1

Original-Recipient: rfc822;Sales@there.example
Final-Recipient: rfc822; ann@there.example
Action: failed
Status: 5.1.1
Remote-MTA: dns; mx.there.example
Diagnostic-Code: smtp; 550 5.1.1 Nobody
    here

Final-Recipient: rfc822; ben@there.example
Action: delayed
Status: 4.4.1 (no answer)
Will-Retry-Until: Tue, 3 Mar 2026 10:00:00 +0100

"""
RETURNED = b"""--x/1
Content-Type: text/rfc822-headers

Message-ID: <one@shop.example>
From: news@shop.example
To: sales@there.example
Subject: Spring
 sale
X-Campaign: spring

--x/1--
"""

ARF_HEAD = b"""From: fbl@provider.example
To: fbl@bounces.shop.example
Subject: FW: Spring sale
Content-Type: multipart/report; report-type=feedback-report; boundary=b

--b
Content-Type: text/plain

This is an email abuse report.

"""
ARF_REPORT = b"""--b
Content-Type: message/feedback-report

Feedback-Type: Abuse
User-Agent: SomeFBL/1.0
Version: 1
Original-Mail-From: <bounce@shop.example>
Original-Rcpt-To: <ann@there.example>
Original-Envelope-Id: order+17
Reported-Domain: shop.example
Reported-Domain: link.example
Source-IP: 198.51.100.9
Incidents: 3

"""
ARF_ORIGINAL = b"""--b
Content-Type: message/rfc822

Message-ID: <one@shop.example>
From: news@shop.example
To: ben@there.example
CFBL-Feedback-ID: 111:222:333
Subject: Spring sale

Buy now.
--b--
"""

SES_MAIL = {
    "source": "bounce@shop.example",
    "messageId": "0100-1",
    "headers": [{"name": "Message-ID", "value": "<one@shop.example>"}, {"name": "X-Campaign", "value": "spring"}],
    "commonHeaders": {"messageId": "<one@shop.example>"},
}
SES_BOUNCE = {
    "notificationType": "Bounce",
    "bounce": {
        "bounceType": "Permanent",
        "reportingMTA": "dns; ses.example",
        "bouncedRecipients": [
            {
                "emailAddress": "ann@there.example",
                "action": "failed",
                "status": "5.1.1",
                "diagnosticCode": "smtp; 550 5.1.1 nobody",
            },
            {"emailAddress": "ben@there.example"},
        ],
    },
    "mail": SES_MAIL,
}


def notification(data: Any) -> bytes:
    """As SNS sends it."""
    head = "From: AWS Notifications <no-reply@sns.amazonaws.example>\nSubject: AWS Notification Message\n\n"
    return f"{head}{json.dumps(data)}\n\n--\nIf you wish to stop receiving …\n".encode()
