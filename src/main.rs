//! The `ottla` binary.

use std::process::ExitCode;

fn main() -> ExitCode {
    ottla::cli::main()
}
