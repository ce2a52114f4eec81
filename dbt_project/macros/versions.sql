{# Post-hook of every model, in the transaction that makes it: which version of each source's Delta table
   this build was given, as JSON in the relation's comment. Whoever copies the table reads it there. #}
{% macro record_versions() -%}
  comment on {{ 'view' if model.config.materialized == 'view' else 'table' }} {{ this }}
  is '{{ env_var('DE_STACK_DBT_VERSIONS', '{}') }}'
{%- endmacro %}
