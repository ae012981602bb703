"""The page on which people log in with a password.

The login's own page always offers a provider, "Sign in with Google" by default, which a server with passwords has not.
"""

SIGN_IN_PAGE = """\
{{define "sign_in.html"}}<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Aim: log in</title>
<style>
body { font: 16px sans-serif; display: grid; place-items: center; min-height: 90vh; margin: 0; background: #f6f7f9 }
form { display: grid; gap: 8px; width: 18rem; padding: 2rem; background: #fff; border-radius: 8px }
h1 { font-size: 1.25rem; margin: 0 0 8px }
input, button { font: inherit; padding: 8px; border: 1px solid #bdc4cc; border-radius: 4px }
button { margin-top: 8px; color: #fff; background: #1473e6; border-color: #1473e6 }
p { margin: 0; color: #b00020 }
</style>
<form method="post" action="{{.ProxyPrefix}}/sign_in">
<h1>Log in to Aim</h1>
{{if eq .StatusCode 400 401}}<p role="alert">User or password is wrong.</p>{{end}}
<input type="hidden" name="rd" value="{{.Redirect}}">
<label for="username">User</label>
<input id="username" name="username" autocomplete="username" autocapitalize="none" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button>Log in</button>
</form>
</html>{{end}}
"""
