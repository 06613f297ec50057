//! What this machine is, for manifests and plans.

use serde::{Deserialize, Serialize};

/// The machine of a run. Numbers made on different instruction sets may differ in their last bits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Machine {
    /// Operating system and architecture.
    pub system: String,
    /// Processor's name, where the system tells.
    pub processor: String,
    /// Threads used.
    pub n_threads: usize,
    /// Instruction set used.
    pub isa: String,
    /// Memory of the machine in bytes, where the system tells.
    pub memory_bytes: Option<u64>,
}

impl Machine {
    /// This machine, with what was chosen on it.
    pub fn here(n_threads: usize, isa: String) -> Self {
        let cpu = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let processor = field(&cpu, "model name").unwrap_or("unknown").to_owned();
        let memory = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let system = format!("{} {}", std::env::consts::OS, std::env::consts::ARCH);
        Self { system, processor, n_threads, isa, memory_bytes: field(&memory, "MemTotal").and_then(kilobytes) }
    }
}

/// The most memory this process has held, in bytes, where the system tells.
pub fn peak_memory_bytes() -> Option<u64> {
    field(&std::fs::read_to_string("/proc/self/status").ok()?, "VmHWM").and_then(kilobytes)
}

fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| line.strip_prefix(name)?.trim_start().strip_prefix(':')).map(str::trim)
}

fn kilobytes(value: &str) -> Option<u64> {
    value.strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_proc_files_are_read() {
        let text = "Name:\tx\nVmHWM:\t  1234 kB\nmodel name\t: Some CPU\n";
        assert_eq!(field(text, "VmHWM").and_then(kilobytes), Some(1234 * 1024));
        assert_eq!(field(text, "model name"), Some("Some CPU"));
        assert_eq!(field(text, "VmRSS"), None);
    }
}
