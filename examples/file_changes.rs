//! A directory that is watched: `cargo run -p examples --bin file_changes [DIRECTORY]`.
//!
//! Without a directory it makes one and changes things in it; with one it watches what others do, until Ctrl-C.

use runloop::{FileChange, FileChanges, FileInterest, Mode, RunLoop, UnixSignal, UnixSignals};
use std::error::Error;
use std::path::Path;
use std::{env, fs, io};

fn main() -> Result<(), Box<dyn Error>> {
    let run_loop = RunLoop::current();
    let files = FileChanges::new(|run_loop, files, change| match change {
        FileChange::Created(entry) => {
            println!("new: {}", entry.path().display());
            if entry.is_directory() {
                // A watch is of one directory; what was made in a new one before this is for the program to look for.
                let added = files.watch(entry.path(), interest());
                added.err().inspect(|error| println!("{error}"));
            }
        }
        FileChange::Renamed { from, to } => {
            println!("{} is {} now", from.path().display(), to.path().display());
        }
        FileChange::Written(entry) => println!("written: {}", entry.path().display()),
        FileChange::Removed(entry) => println!("gone: {}", entry.path().display()),
        FileChange::Vanished(entry) => {
            println!("no longer watched: {}", entry.path().display());
            if files.watched().is_empty() {
                run_loop.stop();
            }
        }
        FileChange::Overflow => println!("too much at once; looking at everything again"),
        other => println!("{other:?}"),
    })?;
    run_loop.add(&files, Mode::DEFAULT)?;

    let quit = UnixSignals::new([UnixSignal::INTERRUPT], |run_loop, _| run_loop.stop())?;
    run_loop.add(&quit, Mode::DEFAULT)?;

    if let Some(directory) = env::args_os().nth(1) {
        files.watch(directory, interest())?;
    } else {
        let directory = env::temp_dir().join(format!("file-changes-{}", std::process::id()));
        fs::create_dir(&directory)?;
        files.watch(&directory, interest())?;
        std::thread::spawn(move || change_things(&directory));
    }
    println!("the run has ended: {:?}", run_loop.run()?);
    Ok(())
}

fn interest() -> FileInterest {
    FileInterest::all() - FileInterest::MODIFIED - FileInterest::ATTRIBUTES
}

fn change_things(directory: &Path) -> io::Result<()> {
    fs::write(directory.join("draft"), "to be or not to be")?;
    fs::rename(directory.join("draft"), directory.join("play"))?;
    fs::remove_file(directory.join("play"))?;
    fs::remove_dir(directory)
}
