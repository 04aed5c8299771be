-- Removes KEYS[1] when it never expires or expires in more than ARGV[2] ms, or in any case when ARGV[1] is 1; returns its value and its time to
-- live if it was removed. The same rule as Holder::is_unlawful, repeated here because reading and removing are one step.
local kind = redis.call('TYPE', KEYS[1]).ok
local left = redis.call('PTTL', KEYS[1])
if kind == 'none' or (left >= 0 and left <= tonumber(ARGV[2]) and ARGV[1] ~= '1') then
    return nil
end
local value = kind == 'string' and redis.call('GETRANGE', KEYS[1], 0, 63) or 'a ' .. kind
redis.call('DEL', KEYS[1])
return {value, left}
