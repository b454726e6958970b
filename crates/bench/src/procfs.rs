//! What a server cost, read from `/proc`: processor time and resident memory
//! of a process and all its descendants.

use std::collections::BTreeMap;
use std::fs;
use std::io;

/// Processor time per thread, so that two readings can be subtracted.
#[derive(Debug)]
pub(crate) struct CpuReading {
    threads_ns: BTreeMap<u32, u64>,
    processes_ticks: BTreeMap<u32, u64>,
}

/// One clock tick of `/proc/<pid>/stat`: Linux reports 100 a second on every architecture we run on.
const TICK_NS: u64 = 10_000_000;

impl CpuReading {
    /// Reads all threads of `root` and its descendants.
    pub(crate) fn take(root: u32) -> io::Result<Self> {
        let mut reading = Self {
            threads_ns: BTreeMap::new(),
            processes_ticks: BTreeMap::new(),
        };
        for pid in tree(root)? {
            reading.processes_ticks.insert(pid, process_ticks(pid)?);
            for task in fs::read_dir(format!("/proc/{pid}/task"))? {
                let name = task?.file_name();
                let Some(tid) = name.to_str().and_then(|text| text.parse().ok()) else {
                    continue;
                };
                // A thread may end between the listing and the reading.
                let Ok(text) = fs::read_to_string(format!("/proc/{pid}/task/{tid}/schedstat"))
                else {
                    continue;
                };
                let ns = text
                    .split(' ')
                    .next()
                    .and_then(|field| field.parse().ok())
                    .unwrap_or(0);
                reading.threads_ns.insert(tid, ns);
            }
        }
        Ok(reading)
    }

    /// Nanoseconds used since `earlier`. The sum over threads is exact to the
    /// nanosecond but forgets threads that ended; the ticks of the process
    /// remember them. The larger counts once they disagree by more than ticks can.
    pub(crate) fn since_ns(&self, earlier: &Self) -> u64 {
        let by_threads = difference(&self.threads_ns, &earlier.threads_ns);
        let by_ticks = difference(&self.processes_ticks, &earlier.processes_ticks) * TICK_NS;
        if by_ticks > by_threads + 4 * TICK_NS {
            by_ticks
        } else {
            by_threads
        }
    }
}

fn difference(later: &BTreeMap<u32, u64>, earlier: &BTreeMap<u32, u64>) -> u64 {
    later
        .iter()
        .map(|(id, value)| value.saturating_sub(earlier.get(id).copied().unwrap_or(0)))
        .sum()
}

/// Resident memory of `root` and its descendants in KiB; pages that two processes share count twice.
pub(crate) fn resident_kib(root: u32) -> io::Result<u64> {
    let mut sum = 0;
    for pid in tree(root)? {
        let text = fs::read_to_string(format!("/proc/{pid}/status"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        sum += line
            .and_then(|rest| rest.trim().trim_end_matches(" kB").parse::<u64>().ok())
            .unwrap_or(0);
    }
    Ok(sum)
}

/// `root` and all its descendants.
fn tree(root: u32) -> io::Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Some(pid) = entry?
            .file_name()
            .to_str()
            .and_then(|text| text.parse::<u32>().ok())
        else {
            continue;
        };
        if let Some(parent) = stat_fields(pid)
            .ok()
            .and_then(|fields| fields.get(1)?.parse::<u32>().ok())
        {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut at = 0;
    while at < found.len() {
        let parent = found[at];
        found.extend(
            parents
                .iter()
                .filter(|(_, of)| *of == parent)
                .map(|(pid, _)| *pid),
        );
        at += 1;
    }
    Ok(found)
}

fn process_ticks(pid: u32) -> io::Result<u64> {
    let fields = stat_fields(pid)?;
    let field = |at: usize| {
        fields
            .get(at)
            .and_then(|text| text.parse::<u64>().ok())
            .unwrap_or(0)
    };
    Ok(field(11) + field(12))
}

/// The fields of `/proc/<pid>/stat` after the command name, which may itself hold spaces.
fn stat_fields(pid: u32) -> io::Result<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let rest = text.rsplit_once(')').map_or("", |(_, rest)| rest);
    Ok(rest.split_whitespace().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_work_and_forgets_no_ended_thread() {
        let me = std::process::id();
        let before = CpuReading::take(me).unwrap();
        let from = process_ticks(me).unwrap();
        std::thread::spawn(move || while process_ticks(me).unwrap() < from + 10 {})
            .join()
            .unwrap();
        let used = CpuReading::take(me).unwrap().since_ns(&before);
        assert!(used >= 90_000_000, "{used} ns after 10 ticks of work");
        assert!(resident_kib(me).unwrap() > 500);
    }
}
