{{ bars(ref('stg_stocks__ohlcv_1m'), 'hour', 'hour', 'timestamptz') }}
