{# Generic tests that dbt does not have. Each returns the rows that are wrong. #}

{% test unique_together(model, columns) %}
select {{ columns | join(', ') }}, count(*) as times
from {{ model }}
group by {{ columns | join(', ') }}
having count(*) > 1
{% endtest %}

{# A condition that holds for every row; a null answer is a failure too. #}
{% test holds(model, condition) %}
select * from {{ model }} where ({{ condition }}) is not true
{% endtest %}
