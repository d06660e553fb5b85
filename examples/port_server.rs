//! Counts lines, words and bytes for whoever asks, beside a timer, on the main run loop:
//! `cargo run -p examples --bin port_server [NAME]`. Message 0, Ctrl-C or SIGTERM end it.

use messageport::{LocalPort, Message, Reply};
use runloop::{Mode, RunLoop, UnixSignal, UnixSignals};
use std::cell::Cell;
use std::error::Error;
use std::process::ExitCode;
use std::rc::Rc;
use std::time::Duration;
use timer_source::Timer;

fn main() -> ExitCode {
    let name = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "org.example.word-count".to_owned());
    match serve(&name) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("port_server: {error}");
            ExitCode::FAILURE
        }
    }
}

fn serve(name: &str) -> Result<(), Box<dyn Error>> {
    let run_loop = RunLoop::current();
    let served = Rc::new(Cell::new(0_u64));

    let count = Rc::clone(&served);
    let port = LocalPort::create(name, move |message: Message| {
        if message.id() == 0 {
            RunLoop::current().stop();
            return Reply::empty();
        }
        count.set(count.get() + 1);
        let [lines, words, bytes] = counts(message.data());
        format!("{lines} {words} {bytes}").into()
    })
    .map_err(|refused| refused.error)?;
    run_loop.add(&port, Mode::COMMON)?;

    let status = Timer::repeating(Duration::from_secs(1), move |_, _| {
        println!("{} requests so far", served.get());
    });
    run_loop.add(&status, Mode::COMMON)?;

    let quit = UnixSignals::new(
        [UnixSignal::INTERRUPT, UnixSignal::TERMINATE],
        |run_loop, signal| {
            println!("{signal}");
            run_loop.stop();
        },
    )?;
    run_loop.add(&quit, Mode::COMMON)?;

    println!("serving {name} as process {}", std::process::id());
    let outcome = run_loop.run()?;
    println!("{name} is closed ({outcome:?})");
    Ok(())
}

/// Lines, words and bytes, as `LC_ALL=C wc` counts them: a word is a run of bytes without a blank that has something
/// printable in it.
fn counts(text: &[u8]) -> [usize; 3] {
    let lines = text.iter().filter(|&&byte| byte == b'\n').count();
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t'..=b'\r');
    let is_printable = |byte: &u8| matches!(byte, b'!'..=b'~');
    let words = text
        .split(is_blank)
        .filter(|word| word.iter().any(is_printable))
        .count();
    [lines, words, text.len()]
}
