//! The command line: flags, progress, exit codes. The only crate that reads the environment, prints or exits.
//!
//! - `args.rs`: every command and flag. `commands.rs`: what each does, through the libraries.
//! - `say.rs`: how anything is said on standard error. `progress.rs`: bars on a terminal, plain lines otherwise.
//! - Exit codes: 0 done, 1 failed or interrupted, 2 the request was wrong. A reader that has had enough of the output (`| head`) ends a
//!   command with 0.

#![warn(clippy::print_stdout, clippy::print_stderr)]

#[macro_use]
mod say;

mod args;
mod bench;
mod chat;
mod classifier;
mod cluster;
mod commands;
mod data;
mod failure;
mod generate;
mod look;
mod mix;
mod model;
mod progress;
mod serve;
mod teacher;
mod tokenizer;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    match commands::execute(args::Args::parse()) {
        Ok(code) => code,
        Err(failure) => failure.told(),
    }
}
