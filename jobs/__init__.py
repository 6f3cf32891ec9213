"""Recorded calls on a schedule: a queue, a watched folder, a timetable."""
