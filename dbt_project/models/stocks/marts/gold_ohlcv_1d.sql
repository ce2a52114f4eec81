{{ bars(ref('stg_stocks__ohlcv_1m'), 'day', 'day', 'date') }}
