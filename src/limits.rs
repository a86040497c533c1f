//! The limits of the machine or of the server's control group: files and memory.

use std::fs;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Raises the limit of open files to its maximum.
pub fn raise_file_limit() {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        maximum: limit.maximum,
    };
    // If it can't be raised, it stays.
    let _ = setrlimit(Resource::Nofile, raised);
}

/// How many files may be open.
pub fn files() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

/// The memory in bytes: that of the machine, the limit of the control group, or the limit of the
/// process's data, whichever is least.
pub fn memory() -> Option<usize> {
    let total = fs::read_to_string("/proc/meminfo").ok();
    let total = total.as_deref().and_then(|info| {
        let kib = info
            .lines()
            .find_map(|line| line.strip_prefix("MemTotal:"))?;
        let kib = kib.trim().strip_suffix(" kB")?;
        kib.parse::<usize>().ok()?.checked_mul(1024)
    });
    let data = getrlimit(Resource::Data).current;
    let data = data.and_then(|bytes| usize::try_from(bytes).ok());
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let groups = groups.lines().flat_map(limits_of);
    let groups = groups.filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    total.into_iter().chain(data).chain(groups).min()
}

/// The files with the memory limits of a control group and its parents, from a line of
/// `/proc/self/cgroup` (cgroups(7)): `0::/path` in version 2, `5:memory:/path` in version 1. Within
/// a container, the root has the limit.
fn limits_of(line: &str) -> Vec<String> {
    let mut parts = line.splitn(3, ':').skip(1);
    let (root, file) = match parts.next() {
        Some("") => ("/sys/fs/cgroup", "memory.max"),
        Some("memory") => ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        _ => return Vec::new(),
    };
    let mut path = parts.next().unwrap_or_default();
    let mut files = vec![format!("{root}/{file}")];
    while let Some((parent, _)) = path.rsplit_once('/') {
        files.push(format!("{root}{path}/{file}"));
        path = parent;
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_limited_by_those_that_it_is_in() {
        let files = limits_of("0::/system.slice/natterjack.service");
        assert_eq!(
            files,
            [
                "/sys/fs/cgroup/memory.max",
                "/sys/fs/cgroup/system.slice/natterjack.service/memory.max",
                "/sys/fs/cgroup/system.slice/memory.max",
            ]
        );
        let files = limits_of("5:memory:/pi");
        assert_eq!(files[1], "/sys/fs/cgroup/memory/pi/memory.limit_in_bytes");
        assert!(limits_of("4:cpu:/pi").is_empty() && limits_of("").is_empty());
        assert!(memory().is_some_and(|bytes| bytes > 0));
    }
}
