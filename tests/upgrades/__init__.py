"""Repositories of former versions of Aim, served by this one."""
