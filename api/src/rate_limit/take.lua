-- Takes ARGV[1] operations out of the ARGV[2] that KEYS[1] has for a window of ARGV[3] ms, which begins with the first of them.
-- Returns 0 if they were taken, else the ms until the window ends; what is refused costs nothing.
-- What lies under the key is input: anything but a whole number that ends within the window is removed, and a new window begins.
local cost, limit, window = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local used = 0
local kind = redis.call('TYPE', KEYS[1]).ok
if kind ~= 'none' then
  local text = kind == 'string' and redis.call('GET', KEYS[1]) or ''
  local left = redis.call('PTTL', KEYS[1])
  if string.match(text, '^%d+$') and #text < 16 and left > 0 and left <= window then
    used = tonumber(text)
  else
    redis.call('UNLINK', KEYS[1])
  end
end
if used + cost > limit then
  return redis.call('PTTL', KEYS[1])
end
redis.call('INCRBY', KEYS[1], cost)
if used == 0 then
  redis.call('PEXPIRE', KEYS[1], window)
end
return 0
