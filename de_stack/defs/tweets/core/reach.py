"""Which later days a load reaches: days whose rows stay, and whose replies or renames change.

Belongs here: that rule, as one SQL statement for the loader. Does not belong here: the rules
themselves (`rules.py`), running it (`flow.load`).

A day's replies and renames look into earlier days, so a day that is loaded late changes later ones.
Only two kinds of them, which keeps it bounded:

- renames: a day on which somebody of the loaded file tweets, and whose last name before that day is
  another one than it was. Days after his next one never are: what counts there is the name in
  between, which stays.
- replies: a day with an answer to a tweet of the file that came, went, or moved in time.

`old` is bronze before the load, `new` are the rows that replace those of the file `:file`.
"""

REACHED = """
with was as (
    select event_hour, file_day, file, "row", record['user_id'] as user_id,
           record['status_id'] as status_id, record['created_at'] as created_at,
           record['screen_name'] as screen_name, record['reply_to_status_id'] as answered
    from old where error is null),
loaded as (
    select event_hour, file_day, file, "row", record['user_id'] as user_id,
           record['status_id'] as status_id, record['created_at'] as created_at,
           record['screen_name'] as screen_name, record['reply_to_status_id'] as answered
    from new where error is null),
gone as (select * from was where file = :file),
days as (select event_hour from gone union select event_hour from loaded),
users as (select user_id from gone union select user_id from loaded),
both_states as (
    select 'was' as state, * from was
    union all select 'will', * from was where file <> :file
    union all select 'will', * from loaded),
tweets as (
    select *, row_number() over (
        partition by state, event_hour, user_id, status_id
        order by file_day desc, file desc, created_at desc, "row" desc) as n
    from both_states where user_id in (select user_id from users)),
newest as (
    select *, row_number() over (
        partition by state, event_hour, user_id order by created_at desc, status_id desc) as nth
    from tweets where n = 1),
named as (
    select state, event_hour, user_id,
           lag(screen_name) over (partition by state, user_id order by event_hour) as name_before
    from newest where nth = 1),
moved as (
    (select status_id, user_id, created_at, event_hour from gone
     except select status_id, user_id, created_at, event_hour from loaded)
    union all
    (select status_id, user_id, created_at, event_hour from loaded
     except select status_id, user_id, created_at, event_hour from gone))
select a.event_hour from named a
join named b on a.event_hour = b.event_hour and a.user_id = b.user_id
where a.state = 'was' and b.state = 'will' and (a.name_before is distinct from b.name_before)
  and a.event_hour not in (select event_hour from days)
union
select r.event_hour from was r join moved m on r.answered = m.status_id
where r.event_hour >= m.event_hour and r.event_hour not in (select event_hour from days)
"""
