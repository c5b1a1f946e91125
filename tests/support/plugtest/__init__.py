"""What the scenarios share: a daemon in a directory of its own, its plugins, its clients.

Nothing here sleeps to wait: a wait is for an event, a line, a descriptor or a process's end, and
has a deadline.
"""
