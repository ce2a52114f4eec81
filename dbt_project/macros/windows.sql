{# Sizes of a stream's windows as its contract has them: name, length and slide in microseconds. Nothing
   while dbt only parses, for nobody has said anything then. #}
{% macro windows_of(stream) -%}
  {%- set all = fromjson(env_var('DE_STACK_DBT_WINDOWS', '{}')) -%}
  {%- if execute and stream not in all -%}
    {{ exceptions.raise_compiler_error('no windows of ' ~ stream ~ ': DE_STACK_DBT_WINDOWS is not set') }}
  {%- endif -%}
  {{ return(all.get(stream, [])) }}
{%- endmacro %}
