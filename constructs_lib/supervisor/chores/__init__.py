"""Chores on a repository: what Aim's users otherwise do by hand, with the server down.

A chore only says what it would do, unless it is told to do it. Server and writers go on meanwhile: a run is written to
only where nobody else writes to it, and the index by the server's indexer (`requests`).
"""
