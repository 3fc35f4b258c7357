"""The DuckDB projection of a store's log: the only place that holds SQL."""
