"""Every panel there is, once. Grafana's dashboard is made from it, and whoever else draws takes its queries from here:
a panel is asked for by name, and no other query reaches Prometheus. Standard library only.
"""

from __future__ import annotations

from typing import Final

from monitoring.panel import WINDOW, Group, Levels, Panel, Query, lines, quantiles, rate, slowest, stacked, stat

DAY: Final = 86400.0
REFUSED_FOR_WANT: Final = 'chat_handshakes_rejected_total{reason=~"backend_down|node_full|draining"}'
"""What the server refuses for want of its own: nobody is to blame but whoever runs it."""

NOW: Final = Group(
    "Now",
    (
        stat(
            "alerts",
            "Alerts",
            "How many alerts are firing. Alertmanager's page says which.",
            'count(ALERTS{alertstate="firing"}) or vector(0)',
            levels=Levels(1, 5),
        ),
        stat(
            "down",
            "Parts down",
            "How many parts do not answer Prometheus.",
            "count(up == 0) or vector(0)",
            levels=Levels(1, 1),
        ),
        stat(
            "degraded",
            "Degraded",
            "How many backends the app has to do without: its store, Redis or the broker.",
            "sum(max by (backend) (chat_degraded))",
            levels=Levels(1, 1),
        ),
        stat("connections", "Connections", "Sockets that are open on all nodes.", "sum(chat_connections)"),
        stat(
            "posts_now", "Posts", "Stored a second.", rate('chat_messages_total{outcome="accepted"}').text, "per_second"
        ),
        stat(
            "edge_errors",
            "Errors at the edge",
            "The share of its answers that begin with 5.",
            f'(sum(rate(edge_requests_total{{status_class="5"}}[{WINDOW}])) or vector(0))'
            f" / sum(rate(edge_requests_total[{WINDOW}]))",
            "share",
            Levels(0.01, 0.05),
        ),
        stat(
            "turned_away",
            "Turned away",
            "Handshakes a second that were refused for want of the server's own: a store, or room.",
            rate(REFUSED_FOR_WANT).text,
            "per_second",
            Levels(0.01, 0.1),
        ),
        stat(
            "delivery_now",
            "Delivery",
            "99 of 100 events are written within this time after they were stored.",
            f"histogram_quantile(0.99, sum by (le) (rate(chat_delivery_seconds_bucket[{WINDOW}])))",
            "seconds",
            Levels(0.25, 0.5),
        ),
        stat(
            "ack_now",
            "Ack",
            "99 of 100 posts are acked within this time.",
            f"histogram_quantile(0.99, sum by (le) (rate(chat_ack_seconds_bucket[{WINDOW}])))",
            "seconds",
            Levels(0.25, 0.5),
        ),
        stat(
            "certificate",
            "Certificate",
            "How long the certificate still lasts.",
            "min(portcullis_certificate_expiry_timestamp_seconds) - time()",
            "seconds",
            Levels(21 * DAY, 3 * DAY),
        ),
        stat(
            "backup",
            "Backup",
            "How long ago the newest backup was done.",
            "time() - max(portcullis_backup_timestamp_seconds)",
            "seconds",
            Levels(2 * DAY, 7 * DAY),
        ),
        Panel(
            "budget",
            "Failures, last hour",
            "The share of handshakes, acks and deliveries that failed. The promise is one in a thousand over a month.",
            "stat",
            "share",
            (Query("slo:errors:ratio_rate1h", "{slo}"),),
            Levels(0.001, 0.0144),
        ),
    ),
)

CONNECTING: Final = Group(
    "Connecting",
    (
        stacked(
            "handshakes", "Handshakes", "How many are accepted and refused.", rate("chat_handshakes_total", "verdict")
        ),
        lines(
            "refusals",
            "Refusals by reason",
            "Why handshakes are refused; docs/reasons.md explains each word.",
            rate("chat_handshakes_rejected_total", "reason", quiet=True),
        ),
        stacked(
            "sign_ins",
            "Sign-ins",
            "What came of them. Many wrong credentials, or throttles, are somebody who tries passwords.",
            rate("chat_sign_ins_total", "outcome"),
        ),
        lines(
            "edge_refusals",
            "Refusals at the edge",
            "What never reaches the app; nginx/README.md explains each word.",
            rate("edge_rejected_total", "reason", quiet=True),
        ),
        stacked(
            "edge_answers",
            "Answers of the edge",
            "Requests by the first digit of their status. Sockets count when they end.",
            rate("edge_requests_total", "status_class"),
        ),
        stacked(
            "nodes",
            "Connections by node",
            "Where people are connected.",
            Query("sum by (instance) (chat_connections)", "{instance}"),
            "count",
        ),
        lines(
            "closes",
            "Closes by code",
            "Why connections end: 4000-4499 come back, 4500-4999 were shown out.",
            rate("chat_closes_total", "code", quiet=True),
        ),
    ),
)

TALKING: Final = Group(
    "Talking",
    (
        stacked(
            "posts",
            "Posts",
            "What became of them. Those refused were their senders' fault, those busy the server's.",
            rate("chat_messages_total", "outcome"),
        ),
        lines(
            "throttles",
            "Throttles by limit",
            "Which limits are reached; docs/settings.md has their values.",
            rate("chat_messages_throttled_total", "limit", quiet=True),
        ),
        lines(
            "nonsense",
            "Frames that mean nothing",
            "What clients do wrong.",
            rate("chat_messages_invalid_total", "reason", quiet=True),
        ),
        lines("deliveries", "Deliveries", "Events written to connections.", rate("chat_deliveries_total")),
        stacked(
            "changes", "Changes of rooms", "Asked for, and what became of them.", rate("chat_changes_total", "outcome")
        ),
        stacked(
            "resumes",
            "Resumes",
            "Joins that asked for what they had missed, and whether they got it.",
            rate("chat_recoveries_total", "outcome"),
        ),
    ),
)

WAITING: Final = Group(
    "Waiting",
    (
        quantiles("delivery", "Delivery", "From stored to written.", "chat_delivery_seconds", Levels(0.25, 0.5)),
        quantiles("ack", "Ack", "From received to durably stored.", "chat_ack_seconds", Levels(0.25, 0.5)),
        slowest(
            "store",
            "Store by verb",
            "99 of 100 calls take at most this long.",
            "chat_store_seconds",
            "verb",
            Levels(0.1, 0.25),
        ),
        slowest(
            "limiter",
            "Shared limits",
            "99 of 100 questions about a limit take at most this long.",
            "chat_limiter_seconds",
            "backend",
            Levels(0.05, 0.1),
        ),
        quantiles(
            "broker",
            "Notices between processes",
            "From published to heard.",
            "chat_broker_lag_seconds",
            Levels(0.1, 0.25),
        ),
        lines(
            "outboxes",
            "Outboxes",
            "Bytes that wait for readers, of all connections together.",
            Query("sum(chat_outbox_bytes)"),
            "bytes",
        ),
        lines(
            "slow_readers",
            "Slow readers",
            "Connections that were closed because they did not read.",
            rate("chat_slow_consumers_total"),
        ),
        lines(
            "dropped",
            "Left out",
            "Typing and presence that slow readers are spared.",
            rate("chat_outbox_dropped_total"),
        ),
        quantiles("stays", "Stays", "How long connections last.", "chat_connection_seconds"),
    ),
)

STORES: Final = Group(
    "Stores",
    (
        lines(
            "backends",
            "Degraded by backend",
            "1 while the app has to do without.",
            Query("max by (backend) (chat_degraded)", "{backend}"),
            "count",
            Levels(1, 1),
        ),
        lines(
            "store_errors",
            "Errors of the store",
            "Calls that failed or took too long; nothing of them was acked.",
            Query(f"sum(rate(chat_store_errors_total[{WINDOW}])) or vector(0)"),
        ),
        lines(
            "broker_errors",
            "Errors of the broker",
            "Notices that were not sent or not understood; delivery is repaired from the store.",
            rate("chat_broker_errors_total", "what"),
        ),
        lines(
            "processes",
            "Processes",
            "How many share the limits.",
            Query("max(chat_processes)"),
            "count",
        ),
        lines(
            "database_connections",
            "Database connections",
            "The share of PostgreSQL's connections that is in use.",
            Query("sum(pg_stat_activity_count) / sum(pg_settings_max_connections)"),
            "share",
            Levels(0.6, 0.8),
        ),
        lines(
            "database_size",
            "Database size",
            "All databases of the server together.",
            Query("sum(pg_database_size_bytes)"),
            "bytes",
        ),
        lines("commits", "Commits", "Transactions of PostgreSQL.", rate("pg_stat_database_xact_commit")),
        lines(
            "valkey_memory",
            "Valkey's memory",
            "The share of what it may use.",
            Query("max(redis_memory_used_bytes / (redis_memory_max_bytes > 0))"),
            "share",
            Levels(0.6, 0.8),
        ),
        lines("valkey_commands", "Valkey's commands", "What it answers.", rate("redis_commands_processed_total")),
    ),
)

MACHINE: Final = Group(
    "Machine",
    (
        lines(
            "processor",
            "Processors",
            "The share of their time in which they were busy.",
            Query(f'1 - avg by (instance) (rate(node_cpu_seconds_total{{mode="idle"}}[{WINDOW}]))', "{instance}"),
            "share",
            Levels(0.8, 0.95),
        ),
        lines(
            "memory",
            "Memory available",
            "The share that programs may still take.",
            Query("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes", "{instance}"),
            "share",
            Levels(0.15, 0.05),
        ),
        lines(
            "disk",
            "Disk free",
            "The share of each file system.",
            Query("instance:node_filesystem_free:ratio", "{instance} {mountpoint}"),
            "share",
            Levels(0.2, 0.05),
        ),
        lines(
            "disk_writes",
            "Disk writes",
            "What is written to all disks; each batch of posts ends with an fsync.",
            Query(f"sum by (instance) (rate(node_disk_written_bytes_total[{WINDOW}]))", "{instance}"),
            "bytes_per_second",
        ),
        lines("parts", "Parts", "1 while a part answers Prometheus.", Query("min by (job) (up)", "{job}"), "count"),
        lines("drains", "Drains", "Apps that began to stop.", rate("chat_drains_total")),
    ),
)

GROUPS: Final = (NOW, CONNECTING, TALKING, WAITING, STORES, MACHINE)
PANELS: Final = {panel.name: panel for group in GROUPS for panel in group.panels}
"""By name."""
