"""The role ``outbound``: one worker of one pool."""

import asyncio

import structlog

from common import metrics
from common.broker import Broker
from common.config import Config
from common.controls.watch import Watcher
from common.counting import level
from common.key_store import KeyStore
from common.limits.member import Member, name_of
from common.limits.owners import Owners
from common.policies.holds import Holds
from common.policies.policies import Policies
from common.queue import leases
from common.queue.finish import Finisher
from common.queue.lanes import Lanes
from common.queue.mover import Mover
from common.queue.room import Disk, ReportRoom
from common.queue.strikes import Strikes
from common.queue.sweep import Sweeper
from common.queue.take import Taker
from common.role import Role, together
from common.suppression import store
from common.suppression.suppressions import Suppressions
from common.unsubscribe import MAILBOX, Links
from common.verp_keys import Keyring
from outbound.answers import Answers
from outbound.connection import Login
from outbound.delays import Delays
from outbound.learn import Learner
from outbound.orders import Orders
from outbound.prepare import Preparer
from outbound.reporter import Reporter
from outbound.resolver import Resolver
from outbound.return_paths import ReturnPaths
from outbound.routing import Router
from outbound.site import Means
from outbound.sites import Sites
from outbound.suppress import Suppressor
from outbound.ways import Ways, from_rules
from outbound.worker import Worker

log = structlog.get_logger()

#: Seconds that attempts in flight have when the process stops.
GRACE = 50.0
#: Seconds between looks at how many entries and connections there are.
SAMPLE = 2.0


async def main(role: Role) -> None:
    """Deliver until told to stop; finish what has begun."""
    config, broker, pool = role.config, role.broker, role.pool
    own = config.pools[pool]
    taker, finisher, lanes = _queue(role)
    keys = KeyStore(config.dkim.keys, config.data_dir, config.dkim.cache)
    router = Router(config, Resolver(config.dns.nameservers))
    owners = Owners(name_of(pool, role.holder), role.servers.workers, role.servers.started)
    member = Member(broker, owners, role.incarnation)
    login = Login(config.delivery.username, config.delivery.password)
    sites = Sites(Means(router, member.limiter, own.ehlo or config.hostname, login))
    member.on_lapsed = sites.close_idle
    policies, holds = Policies.load(config, role.config_file), Holds()
    await policies.look(broker)
    await holds.look(broker)
    ways = Ways(from_rules(policies), holds, router, pool, own.source_addresses, config.delivery.expire)
    name = f"{role.name}-{role.slot}"
    learner = Learner(policies, holds, broker, finisher, name)
    links, return_paths = await _marks(config, broker)
    preparer = Preparer(taker, keys, signature_required=config.dkim.required, links=links)
    room = ReportRoom(broker, role.servers.max_store, Disk.of(config))
    reporter = Reporter(taker, room, config.hostname, config.delivery.expire)
    strikes = Strikes(broker, pool, role.holder)
    controls = Watcher(broker, pool, role.holder, role.incarnation)
    finisher.may_be_held = controls.may_be_held
    orders = Orders(controls, taker)
    delays = Delays(reporter, config.delivery.delay_report)
    suppressions = Suppressions()
    await suppressions.start(broker)
    worker = Worker(
        name, ways, taker, finisher, preparer, reporter, delays, sites, strikes, learner, orders,
        Suppressor(broker, config.suppression, suppressions), return_paths,
    )  # fmt: skip
    policies.on_change = holds.on_change = worker.park.look_again
    controls.on_change = worker.orders_changed
    mover = Mover(broker, list(config.pools), reporter.about_stopped)
    answers = Answers(broker, pool, worker.park, sites, member.limiter.owner)
    for part in (mover, controls, taker, strikes, member, answers):
        await part.start()
    sweeper = Sweeper(broker, pool, config.nats.sweep_every, config.nats.orphan_age)
    sweeping = leases.while_alone(broker, f"sweeper.{pool}", role.holder, sweeper.run, role.stopping)
    moving = leases.while_alone(broker, "mover", f"{pool}-{role.holder}", mover.run, role.stopping)
    # they go on until all is finished
    signs_of_life = [asyncio.create_task(work) for work in (taker.in_progress(), controls.keep(), member.keep())]
    try:
        await together(
            role.stopping, lanes.keep(), worker.run(), worker.expire_parked(), room.watch(), sweeping, moving,
            policies.watch(broker), holds.keep(broker), suppressions.watch(broker), _sample(pool, worker, sites),
            _first_of(signs_of_life),
        )  # fmt: skip
    finally:
        await taker.leave_all()
        await lanes.leave(_finish(worker, finisher))
        await strikes.stop()
        await sites.close()
        for task in signs_of_life:
            task.cancel()


def _queue(role: Role) -> tuple[Taker, Finisher, Lanes]:
    """What takes entries, what ends them, and where they come from, which know of one another."""
    taker = Taker(role.broker, role.pool)
    finisher = Finisher(role.broker, role.pool, taker)
    taker.on_unreadable = finisher.hold_soon
    lanes = Lanes(role.broker, role.pool, role.holder, role.incarnation, taker.read, taker.leave, taker.holding)
    taker.on_deleted = lanes.look_again
    taker.on_outgrown = lanes.outgrown
    role.broker.on_connect.append(lanes.reconnected)
    return taker, finisher, lanes


async def _marks(config: Config, broker: Broker) -> tuple[Links | None, ReturnPaths | None]:
    """What puts links to unsubscribe and return paths on mail, where they are configured. Raises BrokerFailure."""
    domain, url = config.feedback.domain, config.unsubscribe.url
    tokens = Keyring(config.feedback, config.data_dir).tokens if domain else None
    by_mail = tokens if MAILBOX in config.feedback.addresses else None
    links = Links(url, await store.key(broker), domain, by_mail) if url else None
    return links, ReturnPaths(domain, tokens) if tokens else None


async def _first_of(tasks: list[asyncio.Task[None]]) -> None:
    """Raises what the first of them raises that ends: without it the worker would stand still unnoticed."""
    done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


async def _sample(pool: str, worker: Worker, sites: Sites) -> None:
    while True:
        for state, number in worker.levels().items():
            level(metrics.WORKER_ENTRIES, number, pool, state)
        for state, number in sites.levels().items():
            level(metrics.OUTBOUND_OPEN, number, pool, state)
        await asyncio.sleep(SAMPLE)


async def _finish(worker: Worker, finisher: Finisher) -> None:
    await worker.drain(GRACE)
    await finisher.flush()
