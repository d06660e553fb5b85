//! Manual pages and completions, made from the definition of the arguments.

use crate::arguments::Arguments;
use crate::failure::Failure;
use clap::CommandFactory;
use clap_complete::Shell;
use clap_mangen::Man;
use std::io::{self, Write};

/// Prints the page of the tool or of one of its commands.
pub(crate) fn man(command: Option<&str>) -> Result<(), Failure> {
    let mut tool = Arguments::command();
    // What holds for all commands stands in the page of each.
    tool.build();
    let described = match command {
        None => tool,
        Some(name) => {
            let found = tool.find_subcommand(name).cloned();
            found.ok_or_else(|| Failure::NoCommand(name.to_owned()))?
        }
    };
    let mut page = Vec::new();
    Man::new(described)
        .render(&mut page)
        .map_err(Failure::Output)?;
    print(&page)
}

/// Prints the completions of a shell.
pub(crate) fn completions(shell: Shell) -> Result<(), Failure> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Arguments::command(), "messageport", &mut script);
    print(&script)
}

fn print(page: &[u8]) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let written = output.write_all(page).and_then(|()| output.flush());
    written.map_err(Failure::Output)
}
