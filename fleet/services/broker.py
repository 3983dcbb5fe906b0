"""Whether the broker takes messages."""

from __future__ import annotations

from typing import Any

from kombu import Connection, Producer

_NAME = "muster.readyz"


class NotWritableError(Exception):
    """The broker answers and refuses messages."""


def check_writable(url: str, timeout_s: float) -> None:
    """Writes a test entry to the broker. Raises where it does not answer within `timeout_s`, or refuses to write.

    A broker may answer and take nothing: Redis with its memory full and without eviction, a replica, a broken append-only file;
    RabbitMQ with an alarm for memory or disk, which stops reading from publishers.
    """
    options = {"socket_timeout": timeout_s, "confirm_publish": True}
    broker = Connection(url, connect_timeout=timeout_s, transport_options=options)
    try:
        broker.ensure_connection(max_retries=1, timeout=timeout_s)
        if broker.transport.driver_type == "redis":
            _write_to_redis(broker.default_channel)
        else:
            _publish(broker, timeout_s)
    finally:
        broker.collect()  # without closing the channel: a broker that does not read would never confirm it


def _write_to_redis(channel: Any) -> None:
    from redis.exceptions import ResponseError

    try:
        channel.client.set(_NAME, 1, ex=60)
    except ResponseError as error:
        raise NotWritableError(f"The broker refuses messages: {error}") from error


def _publish(broker: Connection, timeout_s: float) -> None:
    """Publishes messages that no queue receives: the broker confirms each once it has read it, and drops it.

    Two, as RabbitMQ with an alarm takes the first message of a connection and stops reading then.
    """
    try:
        producer = Producer(broker.default_channel)
        for _ in range(2):
            producer.publish(b"", exchange="", routing_key=_NAME, delivery_mode=1, timeout=timeout_s, confirm_timeout=timeout_s)
    except TimeoutError as error:
        raise NotWritableError(
            "The broker refuses messages: it confirms none. Look for its alarms of memory and disk."
        ) from error
