#!/bin/bash
# Runs once, on an empty data folder: three databases, each with an owner that cannot enter the others.
set -eu
for name in dagster ledger serving; do
  variable="${name^^}_PASSWORD"
  psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres \
    -v name="$name" -v word="${!variable}" <<'SQL'
create role :"name" login password :'word';
create database :"name" owner :"name";
revoke connect on database :"name" from public;
SQL
done
