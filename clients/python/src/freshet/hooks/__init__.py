"""Hooks for agent frameworks: each asks before the agent acts, and gives it something to do where the context does not hold."""
