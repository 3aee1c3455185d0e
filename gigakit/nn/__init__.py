"""Networks: attention variants and backends, positions, backbones, heads, weight files."""
