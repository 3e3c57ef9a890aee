"""The dispatcher: tasks of push queues sent to their handlers."""
