//! What is said to people on standard error. Nobody has to listen: a run does not end because its reader has.

/// `eprintln!`, where nobody being there is no failure.
macro_rules! say {
    ($($argument:tt)*) => {{
        let _ = std::io::Write::write_fmt(&mut std::io::stderr(), format_args!("{}\n", format_args!($($argument)*)));
    }};
}
