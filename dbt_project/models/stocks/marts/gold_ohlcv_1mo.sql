{{ bars(ref('stg_stocks__ohlcv_1m'), 'month', 'month', 'date') }}
