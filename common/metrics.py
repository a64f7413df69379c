"""Every metric in one place: name, meaning, labels. docs/metrics.md is generated from here.

Labels are few and bounded: never an address, never a domain.
"""

from common.counting import CATALOGUE, counter, figure, gauge, histogram

QUICK = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
SLOW = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 7200, 28_800, 86_400, 432_000)

# --- smtpd_ingress ---
SMTPD_CONNECTIONS = counter(
    "smtpd_connections_total", "Clients that connected (result: accepted, refused).", "listener", "result"
)
SMTPD_TLS = counter(
    "smtpd_tls_total", "Handshakes with clients (tls: the version agreed on, or failed).", "listener", "tls"
)
SMTPD_SESSIONS = gauge("smtpd_sessions", "Sessions open now.", "listener")
SMTPD_MESSAGES = counter(
    "smtpd_messages_total",
    "Messages whose data came in whole (result: accepted, deferred with 4xx, rejected with 5xx).",
    "listener",
    "result",
)
SMTPD_RECIPIENTS = counter("smtpd_recipients_total", "Recipients of the messages accepted.", "listener")
SMTPD_BYTES = counter("smtpd_message_bytes_total", "Bytes of the messages accepted.", "listener")
SMTPD_REJECTIONS = counter(
    "smtpd_rejections_total",
    "Replies of 4xx and 5xx (phase: connect, command, a command's name, dot; code: of the reply).",
    "listener",
    "phase",
    "code",
)
SMTPD_LOGINS = counter(
    "smtpd_logins_total",
    "AUTH exchanges that ended (result: accepted; failed, wrong name or password; refused for another reason).",
    "mechanism",
    "result",
)

# --- common.queue ---
QUEUE_STORE_SECONDS = histogram(
    "queue_store_seconds", "Time that one step of intake took to be stored, whatever its outcome.", QUICK, "pool"
)
QUEUE_FINISH_SECONDS = histogram(
    "queue_finish_seconds", "Time that the outcomes of one step took to be stored.", QUICK, "pool"
)
QUEUE_REPEATS = counter("queue_repeats_total", "Outcomes that the broker did not store at once.", "pool")
QUEUE_DROPPED = counter("queue_dropped_total", "Old copies of entries that were handed out and dropped.", "pool")
QUEUE_HELD = counter("queue_held_total", "Entries set aside (reason: unreadable, poison).", "pool", "reason")
QUEUE_SWEPT = counter(
    "queue_swept_total", "What crashes left behind, put right (what: schedules, contents).", "pool", "what"
)

# --- outbound ---
DELIVERY_ATTEMPTS = counter(
    "delivery_attempts_total",
    "Outcomes of attempts (result: delivered, deferred, bounced, expired, stopped, suppressed).",
    "pool",
    "result",
)
DELIVERY_FAILURES = counter(
    "delivery_failures_total",
    "Attempts that failed (result: all but delivered; class: docs/bounce-classes.md has them all).",
    "pool",
    "result",
    "class",
)
DELIVERY_SECONDS = histogram(
    "delivery_seconds",
    "Times of deliveries (phase: connect, where a connection was made; transfer; total, from acceptance on).",
    SLOW,
    "pool",
    "phase",
)
OUTBOUND_CONNECTIONS = counter(
    "outbound_connections_total",
    "Connections to MX hosts that were tried (result: opened, failed; tls: its version, or none).",
    "result",
    "tls",
)
OUTBOUND_OPEN = gauge(
    "outbound_open_connections", "Connections to MX hosts that are open (state: busy, idle).", "pool", "state"
)
WORKER_ENTRIES = gauge(
    "worker_entries",
    "Entries in the hands of workers (state: active, parked until their site has room, buffered).",
    "pool",
    "state",
)
DNS_LOOKUPS = counter(
    "dns_lookups_total",
    "Questions to nameservers, not those answered from memory (result: found, no_name, no_data, temporary).",
    "type",
    "result",
)

# --- dsn ---
FEEDBACK = counter(
    "feedback_total",
    "Mails that came back, by the event's type (matched: return-path, token, message-id, unmatched).",
    "type",
    "matched",
)

# --- events ---
EVENTS_RECORDED = counter("events_recorded_total", "Rows inserted into ClickHouse, by the event's type.", "type")
EVENTS_INSERT_SECONDS = histogram(
    "events_insert_seconds", "Time of inserts into ClickHouse (result: inserted, failed).", QUICK, "result"
)

WEBHOOKS_QUEUED = counter("webhooks_queued_total", "Messages queued for an endpoint.", "endpoint")
WEBHOOKS_LEFT_OUT = counter(
    "webhooks_left_out_total",
    "Events that an endpoint wanted and was not sent (reason: full, too many waited; disabled; expired; unread, "
    "messages of events that were purged unread, for all endpoints).",
    "endpoint",
    "reason",
)
WEBHOOK_ATTEMPTS = counter(
    "webhook_attempts_total",
    "Requests to endpoints (result: delivered; failed; refused, to an internal address).",
    "endpoint",
    "result",
)
WEBHOOK_SECONDS = histogram(
    "webhook_seconds", "Time of requests to endpoints, from DNS to the answer.", QUICK, "endpoint"
)
WEBHOOK_LATENESS = histogram(
    "webhook_lateness_seconds", "Time from when a message was queued to when its endpoint had it.", SLOW, "endpoint"
)
WEBHOOK_DISABLED = gauge("webhook_disabled", "1 while an endpoint is disabled.", "endpoint")

# --- master ---
PROCESS_UP = gauge("process_up", "Whether a child of `postjet up` runs.", "process")
PROCESS_RESTARTS = counter("process_restarts_total", "Times that a child ended and was started again.", "process")

# --- asked by api at every scrape; absent where nobody answers ---
UP = figure("up", "Whether it answers (part: broker, clickhouse).", "part")
WORKERS = figure("workers", "Workers alive, on all machines.", "pool")
RECORDERS = figure("recorders", "Recorders at work, on all machines: 1, else events only wait.")
QUEUE_ENTRIES = figure("queue_entries", "Entries in the queue (state: ready, scheduled, held).", "pool", "state")
QUEUE_OLDEST = figure(
    "queue_oldest_age_seconds", "How long the oldest entry has been in that state; 0: there is none.", "pool", "state"
)
QUEUE_STORE_BYTES = figure("queue_store_bytes", "Bytes of the broker's store in use.")
QUEUE_STORE_LIMIT = figure("queue_store_limit_bytes", "Bytes of the broker's store at most; intake stops at 80 %.")
QUEUE_ROOM = figure("queue_room", "1 while new mail is taken, 0 while it is answered 452 for want of room.")
EVENTS_WAITING_BYTES = figure("events_waiting_bytes", "Bytes of events that are not recorded yet.")
EVENTS_LIMIT = figure("events_limit_bytes", "Bytes of events that may wait; intake stops at half of it.")
EVENTS_LAG = figure("events_lag_seconds", "Age of the oldest event that is not recorded yet; 0: there is none.")
WEBHOOKS_WAITING = figure(
    "webhooks_waiting", "Messages that wait for an endpoint, those to be tried again too.", "endpoint"
)

ALL = tuple(CATALOGUE)
