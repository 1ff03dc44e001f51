//! The `saldo` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    saldo::cli::run()
}
