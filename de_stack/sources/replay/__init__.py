"""A user's own file as a stream.

    file -> rows -> fields of the contract -> JSON, key, id -> Kafka

`files` opens, `csv_file`, `ndjson_file` and `parquet_file` read in bounded memory, `mapping` says
which column fills which field, `values` and `times` read one cell, `records` makes messages of
rows, `send` sends them. The same file always gives the same event ids, so that sending it twice
adds nothing to silver.
"""
