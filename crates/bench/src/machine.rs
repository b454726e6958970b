//! The machine and the versions measured, so that a results file explains itself.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::servers::Place;

/// What the results file says about where it was made.
pub(crate) fn facts(place: &Place) -> BTreeMap<String, String> {
    let cpus = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpus
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown", |(_, name)| name);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let mut facts = BTreeMap::from([
        (
            "machine".to_owned(),
            format!("{model}, {cores} cores, Linux {}", kernel.trim()),
        ),
        (
            "load before".to_owned(),
            load.split(' ').take(3).collect::<Vec<_>>().join(" "),
        ),
        (
            "nginx".to_owned(),
            version(Command::new(&place.nginx).arg("-v")),
        ),
    ]);
    if let Some(binary) = &place.tollgate {
        facts.insert(
            "tollgate".to_owned(),
            version(Command::new(binary).arg("--version")),
        );
    }
    facts
}

fn version(command: &mut Command) -> String {
    let Ok(output) = command.output() else {
        return "unknown".to_owned();
    };
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text)
        .lines()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
