"""The life of a job: model, store, fair queue, service. Knows replies by a protocol only; nothing of Discord."""
