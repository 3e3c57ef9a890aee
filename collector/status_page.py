"""The state of the collector as a plain page of HTML."""

from typing import Any

from flask import render_template_string

# ruff: noqa: E501  # the lines of a template
TEMPLATE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>collector</title>
<style>
:root { color-scheme: light dark }
body { font: 15px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 75em; padding: 0 1em }
table { border-collapse: collapse; margin: 1em 0 }
th, td { padding: .2em .6em; text-align: left; border-bottom: 1px solid #8884; vertical-align: top }
td.number { text-align: right; font-variant-numeric: tabular-nums }
.wide { overflow-x: auto }
.failing, .stopped { font-weight: bold }
</style>
<h1>collector</h1>
<p>{{ time }}: {{ active }} active accounts, {{ inactive }} inactive, {{ posts }} posts stored of them,
{{ dead_letters }} dead letters.</p>
<table>
<tr><th>queue<th>tasks<th>in flight<th>given up<th>last minute
{% for name, queue in queues.items() -%}
<tr><td>{{ name }}<td class="number">{{ queue.tasks }}<td class="number">{{ queue.in_flight }}<td class="number">{{ queue.given_up }}<td class="number">{{ queue.last_minute }}
{% endfor -%}
</table>
{% if accounts -%}
<div class="wide">
<table>
<tr><th>account<th>state<th>last fetch<th>last new post<th>posts<th>a day<th>errors<th>last error
{% for account in accounts -%}
<tr><td>{{ account.id }}<td class="{{ account.state }}">{{ account.state }}<td>{{ account.last_fetch or "" }}<td>{{ account.last_new_post or "" }}<td class="number">{{ account.posts }}<td class="number">{{ account.posts_a_day }}<td class="number">{{ account.errors }}<td>{{ account.reason or account.error }}
{% endfor -%}
</table>
</div>
{% else -%}
<p>No account is followed; <code>collector follow</code> begins with one.</p>
{% endif -%}
"""


def page(found: dict[str, Any]) -> str:
    """The page for what `overview` found; names and errors are escaped."""
    return render_template_string(TEMPLATE, **found)
