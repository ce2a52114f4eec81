{# Schema of a model, `[namespace_]domain` as in de_stack/naming.py: the domain is the first folder
   under models/. #}
{% macro generate_schema_name(custom_schema_name, node) -%}
  {%- set namespace = env_var('DE_STACK_DBT_NAMESPACE', '') -%}
  {{ (namespace ~ '_' if namespace else '') ~ node.fqn[1] }}
{%- endmacro %}
