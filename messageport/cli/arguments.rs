//! What the tool can be asked for; help, man pages and completions are all made from this.

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use messageport::Options;
use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

/// Lists, watches, asks and measures the message ports of this machine.
///
/// Ports are looked for in one directory: $MESSAGEPORT_DIR; otherwise $XDG_RUNTIME_DIR/messageport; otherwise
/// /run/user/UID/messageport if that parent is the user's; otherwise /tmp/messageport-UID.
#[derive(Debug, Parser)]
#[command(name = "messageport", version, after_help = EXIT_STATUS)]
#[expect(clippy::doc_markdown, reason = "this is read in a terminal")]
pub(crate) struct Arguments {
    /// Looks for ports in this directory, which must exist, instead of the user's own
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) directory: Option<PathBuf>,
    #[command(subcommand)]
    pub(crate) task: Task,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Task {
    /// Prints the ports that there are, in the order of their names
    ///
    /// One line for each: the process that owns it, a tab, and its name. A dash stands for a process that cannot be told.
    List,
    /// Prints the ports that there are, and goes on with those that appear and vanish
    ///
    /// One line for each change: a plus or a minus, a tab, the process that owns it or a dash, a tab, and its name.
    Watch,
    /// Sends a message that wants no reply
    ///
    /// Success means that the message is wholly in the memory of the port, not that it has been handled. A port that takes
    /// only smaller messages, or none of this process, may drop it unheard; `request` would be told.
    #[command(after_help = EXIT_STATUS)]
    Send(Exchange),
    /// Sends a message and prints the reply, byte for byte
    #[command(after_help = EXIT_STATUS)]
    Request {
        #[command(flatten)]
        exchange: Exchange,
        #[command(flatten)]
        reply: ReplyTime,
    },
    /// Measures how long a port takes to reply
    ///
    /// The port's handler is called as for any other request: choose a number and a size that it takes lightly. If a
    /// request fails, the figures of those before it are printed all the same.
    #[command(after_help = EXIT_STATUS)]
    Ping(Ping),
    /// Prints the manual page of the tool, or of one of its commands, in roff
    Man {
        /// The command; without it, the page of the tool itself
        command: Option<String>,
    },
    /// Prints a script that completes the tool's arguments in a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// A message, and where it goes.
#[derive(Args, Debug)]
pub(crate) struct Exchange {
    /// The name of the port
    pub(crate) name: String,
    /// The message; without it and without --file it is read from standard input, to its end
    pub(crate) text: Option<OsString>,
    /// Reads the message from this file; a dash is standard input
    #[arg(long, short, value_name = "PATH", conflicts_with = "text")]
    pub(crate) file: Option<PathBuf>,
    /// The number that goes with the message
    #[arg(long, short, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) id: i32,
    #[command(flatten)]
    pub(crate) link: LinkTimes,
}

/// How long to wait until a message is sent.
#[derive(Args, Debug)]
pub(crate) struct LinkTimes {
    /// Waits so long for the name to appear, if nobody serves it yet
    #[arg(long, short, value_name = "SECONDS", value_parser = seconds)]
    wait: Option<Duration>,
    /// How long the message may wait for room; `never` ends no wait
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    send_timeout: Duration,
}

impl LinkTimes {
    /// How long to wait for the name, if at all.
    pub(crate) fn wait(&self) -> Option<Duration> {
        self.wait
    }

    /// The options of a call.
    pub(crate) fn options(&self) -> Options {
        Options::new().send_timeout(self.send_timeout)
    }
}

/// How long to wait for a reply.
#[derive(Args, Debug)]
pub(crate) struct ReplyTime {
    /// How long to wait for the reply; `never` ends no wait
    #[arg(long, value_name = "SECONDS", default_value = "30", value_parser = seconds)]
    reply_timeout: Duration,
}

impl ReplyTime {
    pub(crate) fn timeout(&self) -> Duration {
        self.reply_timeout
    }
}

/// What is measured.
#[derive(Args, Debug)]
pub(crate) struct Ping {
    /// The name of the port
    pub(crate) name: String,
    /// How many requests, one after the other
    #[arg(long, short, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    pub(crate) count: u32,
    /// How many bytes each of them has, all zero
    #[arg(long, short, default_value_t = 0, value_name = "BYTES", value_parser = clap::value_parser!(u32).range(0..=1 << 30))]
    pub(crate) size: u32,
    /// How long to wait between two requests
    #[arg(long, value_name = "SECONDS", default_value = "0", value_parser = seconds)]
    pub(crate) interval: Duration,
    /// The number that goes with each
    #[arg(long, short, default_value_t = 0, allow_negative_numbers = true)]
    pub(crate) id: i32,
    #[command(flatten)]
    pub(crate) link: LinkTimes,
    #[command(flatten)]
    pub(crate) reply: ReplyTime,
}

/// A time in seconds, parts of them included; `never` is longer than anything lasts.
fn seconds(text: &str) -> Result<Duration, String> {
    if text == "never" {
        return Ok(Duration::MAX);
    }
    let Ok(seconds) = text.parse() else {
        return Err("neither a number of seconds nor `never`".to_owned());
    };
    Duration::try_from_secs_f64(seconds).map_err(|error| error.to_string())
}

/// What the numbers of `Failure::code` say.
const EXIT_STATUS: &str = "\
Exit status:
  0   done; also if standard output was closed before its end
  1   something else went wrong, for instance a file could not be read
  2   the arguments are wrong
  3   nobody serves the name
  4   there was no room for the message in time; nothing of it is delivered
  5   no reply came in time
  6   the port was gone before the message was sent
  7   the port went away during the call
  8   the message could not travel, for instance because it is too large
  9   the port does not let this process in
  10  the directory of names cannot be used";
