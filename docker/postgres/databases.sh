#!/bin/bash
# Runs once, on an empty data folder: three databases, each with an owner that cannot enter the others.
set -eu
for name in dagster ledger serving; do
  variable="${name^^}_PASSWORD"
  # By the environment: arguments can be read by every process of the machine.
  NAME="$name" WORD="${!variable}" psql -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres <<'SQL'
\getenv name NAME
\getenv word WORD
create role :"name" login password :'word';
create database :"name" owner :"name";
revoke connect on database :"name" from public;
SQL
done
