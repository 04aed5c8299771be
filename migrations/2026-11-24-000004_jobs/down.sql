DROP TABLE alarms;
DROP TABLE jobs;
