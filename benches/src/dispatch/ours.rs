//! Our loop, with a descriptor source for each pipe.

use crate::{Loop, take_byte};
use benches::Result;
use runloop::{Descriptor, Interest, Limit, Mode, ReturnAfter, RunLoop};
use std::cell::Cell;
use std::os::fd::OwnedFd;
use std::rc::Rc;

struct Ours {
    run_loop: RunLoop,
    /// Bytes that have been read, and at how many the run is to end.
    counted: Rc<Cell<(u64, u64)>>,
    _sources: Vec<Descriptor>,
}

pub(crate) fn new(pipes: Vec<OwnedFd>) -> Result<Box<dyn Loop>> {
    let run_loop = RunLoop::current();
    let counted = Rc::new(Cell::new((0, 0)));
    let mut sources = Vec::with_capacity(pipes.len());
    for pipe in pipes {
        let counted = Rc::clone(&counted);
        let source = Descriptor::new(pipe, Interest::READABLE, move |run_loop, pipe, _| {
            take_byte(pipe).expect("a byte is there");
            let (read, end) = counted.get();
            counted.set((read + 1, end));
            if read + 1 == end {
                run_loop.stop();
            }
        });
        run_loop.add(&source, Mode::DEFAULT)?;
        sources.push(source);
    }
    Ok(Box::new(Ours {
        run_loop,
        counted,
        _sources: sources,
    }))
}

impl Loop for Ours {
    fn run_until(&mut self, end: u64) -> Result<()> {
        let (read, _) = self.counted.get();
        self.counted.set((read, end));
        let _stopped =
            self.run_loop
                .run_in_mode(Mode::DEFAULT, Limit::Never, ReturnAfter::Limit)?;
        Ok(())
    }
}
