"""Many recordings: a durable queue (DBOS), watched folders, cron schedules."""
