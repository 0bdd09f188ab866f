//! What this process has made the devices do.

/// Bytes that reached the storage layer, not the page cache (`/proc/self/io`, proc(5)).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProcessIo {
    pub read_bytes: u64,
    pub write_bytes: u64,
}

impl ProcessIo {
    /// The counts until now; none where the system has no such file or hides it.
    pub fn now() -> Option<Self> {
        parse(&std::fs::read_to_string("/proc/self/io").ok()?)
    }
}

fn parse(text: &str) -> Option<ProcessIo> {
    let field = |name: &str| {
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        value.trim().parse().ok()
    };
    Some(ProcessIo { read_bytes: field("read_bytes")?, write_bytes: field("write_bytes")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_two_lines_that_count() {
        let text =
            "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 5\n";
        assert_eq!(parse(text), Some(ProcessIo { read_bytes: 4096, write_bytes: 8192 }));
        for broken in ["", "read_bytes: x\nwrite_bytes: 1\n", "read_bytes: 1\n"] {
            assert_eq!(parse(broken), None, "{broken}");
        }
    }
}
