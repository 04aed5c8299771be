-- Takes ARGV[1] operations out of the ARGV[2] that KEYS[1] has for a window of ARGV[3] ms, which begins with the first of them.
-- Returns 0 if they were taken, else the ms until the window ends; what is refused costs nothing.
local cost, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used = tonumber(redis.call('GET', KEYS[1]) or '0')
if used + cost > limit then
  local left = redis.call('PTTL', KEYS[1])
  if left > 0 then
    return left
  end
  if cost > limit then
    return window
  end
  -- A counter without an end would refuse for ever.
  redis.call('DEL', KEYS[1])
  used = 0
end
redis.call('INCRBY', KEYS[1], cost)
if used == 0 then
  redis.call('PEXPIRE', KEYS[1], window)
end
return 0
