//! The command line: arguments, where the configuration comes from, what goes to stderr.

mod adopt;
mod args;
mod check;
mod serve;
mod show_config;
pub mod telemetry;

use std::process::ExitCode;

use clap::Parser;

use args::{Arguments, Command};

/// Runs the command line of this process. Whatever is wrong becomes clear lines on stderr and exit code 1.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let done = match arguments.command {
        None => serve::run(&arguments.options, &arguments.adopt, &arguments.log),
        Some(Command::Adopt { dry_run, json }) => adopt::run(&arguments.options, &arguments.adopt, dry_run, json),
        Some(Command::Config) => show_config::run(&arguments.options),
        Some(Command::Check(check)) => return check::run(&arguments.options, &check),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("ottla: {error:#}");
            ExitCode::FAILURE
        }
    }
}
