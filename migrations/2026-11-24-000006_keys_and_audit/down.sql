DROP TABLE audit_log;
DROP TABLE revoked_sessions;
DROP TABLE user_keys;
