-- Removes finished tasks: an id in the done or dead set was acknowledged, is in no other place and will never be again.
--
-- KEYS[1]: done set   KEYS[2]: dead set   KEYS[3]: payloads by id
-- ARGV[1]: prefix of the tasks' hashes   ARGV[2]: how many of each set at most
-- Returns how many were removed.
local removed = 0
for set = 1, 2 do
    local ids = redis.call('SPOP', KEYS[set], ARGV[2])
    if #ids > 0 then
        redis.call('HDEL', KEYS[3], unpack(ids))
        for i, id in ipairs(ids) do
            ids[i] = ARGV[1] .. ':' .. id
        end
        redis.call('UNLINK', unpack(ids))
        removed = removed + #ids
    end
end
return removed
