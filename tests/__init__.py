"""The tests; `app` is imported first, as it chooses Node.js before jsii starts it."""

import app  # noqa: F401
