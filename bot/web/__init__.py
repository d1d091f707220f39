"""The operator's HTTP side: health, readiness, metrics, and a dashboard of them for Grafana."""
