//! The command line: flags, progress, exit codes. The only crate that reads the environment, prints or exits.
//!
//! - `args.rs`: every command and flag. `commands.rs`: what each does, through the libraries.
//! - `progress.rs`: bars on a terminal, plain lines otherwise.
//! - Exit codes: 0 done, 1 failed or interrupted, 2 the request was wrong.

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
        Err(failure) => {
            eprintln!("error: {}", failure.message);
            ExitCode::from(if failure.is_request { 2 } else { 1 })
        }
    }
}
