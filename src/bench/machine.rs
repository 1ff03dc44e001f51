//! What processes cost, as Linux tells it under `/proc`; elsewhere there are no figures.

use std::time::{Duration, Instant};
use std::{fs, thread};

/// The processor time that a process has used, with its threads.
pub(super) fn processor_time(process: u32) -> Option<Duration> {
    let stat = Stat::of(process)?;
    Some(ticks(stat.own))
}

/// The processor time that a Postgres server has used: all its processes, also those that ended.
pub(super) fn server_time(postmaster: u32) -> Option<Duration> {
    let main = Stat::of(postmaster)?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let running: u64 = processes
        .filter_map(|entry| Stat::of(entry.file_name().to_str()?.parse().ok()?))
        .filter(|stat| stat.parent == postmaster)
        .map(|stat| stat.own)
        .sum();
    Some(ticks(main.own + main.ended + running))
}

/// The parent of a process: the postmaster, where the process is a backend of this machine.
pub(super) fn postmaster_of(backend: u32) -> Option<u32> {
    let name = fs::read_to_string(format!("/proc/{backend}/comm")).ok()?;
    let stat = Stat::of(backend)?;
    name.starts_with("postgres").then_some(stat.parent)
}

/// Bytes of memory that are the process's own or shared, and in use now.
pub(super) fn resident(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// A span of time, in which other guests of the machine's host may have had its processors.
pub(super) struct Span {
    began: Instant,
    taken_before: Option<Duration>,
}

impl Span {
    pub(super) fn begin() -> Self {
        Self { began: Instant::now(), taken_before: taken() }
    }

    /// Of the processors' time since then, what others had while this machine had something to do, in percent; none where
    /// nobody says.
    pub(super) fn taken_by_others(&self) -> Option<f64> {
        let taken = taken()?.checked_sub(self.taken_before?)?;
        let processors = u32::try_from(thread::available_parallelism().ok()?.get()).ok()?;
        Some(100.0 * taken.div_duration_f64(self.began.elapsed() * processors))
    }
}

/// What others had of all processors together since the machine started.
fn taken() -> Option<Duration> {
    steal(&fs::read_to_string("/proc/stat").ok()?)
}

/// From proc(5): `steal`, in what `/proc/stat` says of all processors.
fn steal(text: &str) -> Option<Duration> {
    let all = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    Some(ticks(all.split_whitespace().nth(7)?.parse().ok()?))
}

/// From proc(5): what `/proc/<process>/stat` says, times in clock ticks.
struct Stat {
    parent: u32,
    own: u64,
    /// Of children that ended and were waited for.
    ended: u64,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
        // The name, in parentheses, may have spaces in it; the state follows.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<u64> =
            rest.split_whitespace().skip(1).map(|field| field.parse().unwrap_or(0)).collect();
        let field = |number: usize| fields.get(number - 4).copied();
        Some(Self {
            parent: u32::try_from(field(4)?).ok()?,
            own: field(14)? + field(15)?,
            ended: field(16)? + field(17)?,
        })
    }
}

/// Linux counts 100 ticks a second on every architecture that Rust knows.
fn ticks(ticks: u64) -> Duration {
    Duration::from_millis(ticks * 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_took_is_the_eighth_figure_of_all_processors() {
        let text =
            "cpu  2433342 890928 620704 1225308 34472 0 23489 483 7 0\ncpu0 1 2 3 4 5 6 7 8 9 10\n";
        assert_eq!(steal(text), Some(Duration::from_millis(4830)));
        assert_eq!(steal("cpu 1 2 3\n"), None);
    }
}
