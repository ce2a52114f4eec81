{{ bars(ref('stg_stocks__ohlcv_1m'), 'week', 'week', 'date') }}
