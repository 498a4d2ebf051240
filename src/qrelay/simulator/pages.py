"""The two pages a person sees when logging a device in. Plain HTML, no script."""

from html import escape

_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>qrelay's simulated log-in</title>
<style>body{{font:16px/1.5 system-ui;max-width:32rem;margin:15vh auto;padding:0 1rem}}code{{font-size:1.6em}}</style>
<h1>Simulated log-in</h1>
{body}
</html>
"""


def ask_for_code() -> str:
    return _PAGE.format(
        body="""<p>Which code did the program show you?</p>
<form method="get"><input name="user_code" autofocus> <button>Go on</button></form>"""
    )


def confirm(user_code: str, decision: str) -> str:
    code = escape(user_code)
    if decision != "pending":
        return _PAGE.format(body=f"<p><code>{code}</code></p><p>It is {escape(decision)}. You can close this page.</p>")
    return _PAGE.format(
        body=f"""<p><code>{code}</code></p><p>Let the program that shows this code in?</p>
<form method="post"><input type="hidden" name="user_code" value="{code}">
<button name="decision" value="approve">Approve</button> <button name="decision" value="deny">Deny</button></form>"""
    )
