//! The command-line tool as its users meet it: what it prints, what it takes, and how it ends.

#![expect(
    clippy::missing_assert_message,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "tests document themselves by their names, and their processes print"
)]

mod exchanging;
mod listing;
mod support;
mod telling;
