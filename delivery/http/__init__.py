"""Calls over HTTP, made with as little as a call needs."""
