//! What all nodes have counted together: all windows in one script, so that no burst slips between them.

use std::sync::LazyLock;

use super::{STEPS, Standing, Verdict, Window, standing};
use crate::clients::redis::{Away, Redis, Script};

/// For each window the length of a step and the most; by Redis' own clock, since nodes' differ. A field for each
/// step that counts, `window|when it stops counting`. Answers whether it passes, the time, and for each window what
/// is used and when the oldest step stops counting.
const COUNT: &str = "
    local time = redis.call('TIME')
    local now = time[1] * 1000 + math.floor(time[2] / 1000)
    local windows = #ARGV / 3
    local used, next, gone = {}, {}, {}
    for window = 1, windows do used[window] = 0 next[window] = -1 end
    local steps = redis.call('HGETALL', KEYS[1])
    for at = 1, #steps, 2 do
        local window, ends = string.match(steps[at], '^(.*)|(%d+)$')
        ends = tonumber(ends)
        if ends <= now then
            gone[#gone + 1] = steps[at]
        else
            for number = 1, windows do
                if ARGV[number * 3 - 2] == window then
                    used[number] = used[number] + steps[at + 1]
                    if next[number] < 0 or ends < next[number] then next[number] = ends end
                end
            end
        end
    end
    local passes, longest = 1, 0
    for window = 1, windows do
        if used[window] >= tonumber(ARGV[window * 3]) then passes = 0 end
    end
    if #gone > 0 then redis.call('HDEL', KEYS[1], unpack(gone)) end
    if passes == 1 then
        for window = 1, windows do
            local step = tonumber(ARGV[window * 3 - 1])
            local ends = (math.floor(now / step) + 1 + STEPS) * step
            redis.call('HINCRBY', KEYS[1], ARGV[window * 3 - 2] .. '|' .. string.format('%.0f', ends), 1)
            used[window] = used[window] + 1
            if next[window] < 0 then next[window] = ends end
            if ends - now > longest then longest = ends - now end
        end
        if redis.call('PTTL', KEYS[1]) < longest then redis.call('PEXPIRE', KEYS[1], longest) end
    end
    local answer = { passes, now }
    for window = 1, windows do
        answer[#answer + 1] = used[window]
        answer[#answer + 1] = next[window]
    end
    return answer
";

static SCRIPT: LazyLock<Script> =
    LazyLock::new(|| Script::new(&COUNT.replace("STEPS", &STEPS.to_string())));

pub(super) async fn count(redis: &Redis, who: &str, windows: &[Window]) -> Result<Verdict, Away> {
    let mut arguments = Vec::with_capacity(windows.len() * 3);
    for window in windows {
        arguments.extend([
            window.name.to_owned(),
            window.step().to_string(),
            window.most.to_string(),
        ]);
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let answer: Vec<i64> = redis.run(&SCRIPT, &format!("rate:{who}"), &arguments).await?;
    let [passes, now, counted @ ..] = answer.as_slice() else { return Err(Away) };
    let whole = |figure: i64| u64::try_from(figure).ok();
    let now = whole(*now).unwrap_or_default();
    let standings: Vec<Standing> = windows
        .iter()
        .zip(counted.chunks_exact(2))
        .map(|(window, counted)| {
            standing(*window, whole(counted[0]).unwrap_or_default(), whole(counted[1]), now)
        })
        .collect();
    Ok(Verdict { passes: *passes == 1, standings })
}
