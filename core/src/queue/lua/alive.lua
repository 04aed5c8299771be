-- Records that a worker is alive, and returns which others have been silent for too long, all by the clock of this server.
--
-- KEYS[1]: members   ARGV[1]: name of the worker   ARGV[2]: seconds of silence allowed
local now = tonumber(redis.call('TIME')[1])
redis.call('ZADD', KEYS[1], now, ARGV[1])
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', '(' .. (now - ARGV[2]))
